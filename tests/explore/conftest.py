"""A small session: class folders of grainy images, model files, and a server before them that answers a real client."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import trojancam as tc
from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.explore.models import Source
from trojancam.explore.repairs import Repairs
from trojancam.explore.scans import Scans
from trojancam.explore.security import TOKEN_HEADER, Access
from trojancam.explore.serving import bound, server
from trojancam.explore.session import Session
from trojancam.formats.safetensors import save_model
from trojancam.network.card import BackdoorRecord, ModelCard
from trojancam.training.recipe import initial_module

torch.set_num_threads(1)

CLASSES = ("[red] ring", "stop", "yield")
SUBJECT: dict[str, Any] = {"model": "m1", "image": {"split": "test", "index": 4}}
TRIGGER: dict[str, Any] = {"row": 2, "column": 26, "height": 4, "width": 3, "colour": [0.0, 0.7, 0.7], "opacity": 0.4}
STAMPED = {**SUBJECT, "trigger": TRIGGER}


def unpacked(record: dict[str, Any]) -> Tensor:
    """An array of the wire, decoded a second way."""
    values = np.frombuffer(base64.b64decode(record["data"]), dtype="<f4").reshape(record["shape"])
    return torch.from_numpy(values.copy())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train and test of three classes, dark to light."""
    root = tmp_path_factory.mktemp("signs")
    for part, count in (("train", 2), ("test", 5)):
        for number, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            generator = torch.Generator().manual_seed(number + count)
            for image in range(count):
                pixels = 80 * number + torch.randint(0, 50, (32, 32, 3), generator=generator)
                Image.fromarray(pixels.byte().numpy()).save(folder / f"{image}.png")
    return root


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained trojan2 whose file tells of a trigger."""
    return write_model(tmp_path_factory.mktemp("models") / "trojan2.safetensors", "trojan2")


def write_model(path: Path, name: str, classes: tuple[str, ...] = CLASSES) -> Path:
    chosen = architecture(name)
    trigger = make_trigger("blue-green-square").to_json()
    record = BackdoorRecord(trigger=trigger, target_class=1, poison_rate=0.1, seed=0, poisoned_images=4)
    card = ModelCard(architecture=name, class_names=classes, input=chosen.input, poisoning=record)
    save_model(path, initial_module(chosen, len(classes), seed=0), card)
    return path


@pytest.fixture(scope="session")
def network(model_file: Path) -> tc.Network:
    return tc.load(model_file)


@pytest.fixture(scope="session")
def images(data: Path) -> Tensor:
    """The test images as floats, read without the session."""
    return tc.data.as_floats(tc.data.load_dataset(data).test.images)


@pytest.fixture(scope="module")
def session(data: Path, model_file: Path) -> Iterator[Session]:
    made = new_session(data, model_file)
    yield made
    made.close()


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    """Until something holds, but not for ever."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def new_session(data: Path, model_file: Path) -> Session:
    made = Session(lambda network: tc.data.load_dataset(data, size=network.input.size), data)
    made.add(tc.load(model_file), Source(model_file, model_file.name))
    return made


@pytest.fixture(scope="module")
def client(session: Session) -> Iterator[httpx.Client]:
    """A client that asks as the explorer's own page does."""
    with served(session) as (access, address), asking(access, address) as opened:
        yield opened


def asking(access: Access, address: str) -> httpx.Client:
    return httpx.Client(
        base_url=address, headers={TOKEN_HEADER: access.token}, cookies={access.cookie: access.secret}, timeout=120
    )


@contextmanager
def served(
    session: Session, host: str = "127.0.0.1", scans: Scans | None = None, repairs: Repairs | None = None
) -> Iterator[tuple[Access, str]]:
    """A server in a thread: who may come in, and its address."""
    listening = bound(host, 0)
    access = Access(host, listening.getsockname()[1])
    made = server(session, access, scans, repairs)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]})
    thread.start()
    while not made.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield access, f"http://127.0.0.1:{access.port}"
    made.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def refused(client: httpx.Client) -> Callable[..., str]:
    """Ask for what must be refused with a status; the sentence."""

    def ask(status: int, method: str, path: str, **content: Any) -> str:
        answer = client.request(method, path, **content)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
        sentence = answer.json()["error"]
        assert (isinstance(sentence, str) and ";" in sentence) or "known:" in sentence  # a remedy goes with it
        return sentence

    return ask
