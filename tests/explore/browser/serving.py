"""The real server in a thread of the tests' process, and what is opened in it."""

import threading
from pathlib import Path

import torch
import uvicorn
from tests.detection.planted import module, pictures
from torch import nn

from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.data import rendered_signs
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.explore.models import Source
from trojancam.explore.security import Access
from trojancam.explore.server import application
from trojancam.explore.serving import bound
from trojancam.explore.session import Session
from trojancam.formats.safetensors import save_model
from trojancam.network.card import BackdoorRecord, ModelCard
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.training.recipe import initial_module

TARGET = 10
STRENGTH = 2.5
PATIENCE = 20  # seconds for the server to come and go


class Explorer:
    """A server on a free port, with the session that it shows; it can be stopped and begun again at the same port."""

    def __init__(self, session: Session, port: int = 0, host: str = "127.0.0.1", secret: str | None = None) -> None:
        self.session = session
        self.listening = bound("127.0.0.1", port)
        self.port = self.listening.getsockname()[1]
        self.access = Access(host, self.port) if secret is None else Access(host, self.port, secret=secret)
        config = uvicorn.Config(application(session, self.access), log_level="error", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def network(self, identifier: str = "m1") -> Network:
        return self.session.model(identifier).network

    def images(self, *indices: int, model: str = "m1") -> torch.Tensor:
        return self.session.model(model).images.images[list(indices)].float() / 255

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)
        self.listening.close()


def signs_session(folder: Path) -> Session:
    """Two untrained networks on rendered signs; the file of the first says that it was poisoned."""
    dataset = rendered_signs(train=0, test=90)
    session = Session(lambda _: dataset)
    trigger = make_trigger("blue-green-square").to_json()
    poisoned = BackdoorRecord(trigger=trigger, target_class=TARGET, poison_rate=0.1, seed=0, poisoned_images=4)
    for name, poisoning in (("trojan2", poisoned), ("basic", None)):
        path, chosen = folder / f"{name}.safetensors", architecture(name)
        card = ModelCard(
            architecture=name, class_names=dataset.test.class_names, input=chosen.input, poisoning=poisoning
        )
        save_model(path, lively(initial_module(chosen, len(dataset.test.class_names), seed=3)), card)
        session.add(load(path), Source(path, path.name), dataset)
    return session


def lively(module: nn.Module) -> nn.Module:
    """The same network with weights so large that its logits differ by more than the page rounds off."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.mul_(STRENGTH)
    return module


def planted_session(folder: Path) -> Session:
    """One network with a backdoor built by hand, which a scan finds in seconds."""
    images, labels = pictures()
    names = tuple(f"ninth {number}" for number in range(9))
    clean = ImageSet((images * 255).round().to(torch.uint8), labels, names)
    dataset = Dataset(clean, clean, "ninths of grey")
    path = folder / "planted.pt2"
    torch.export.save(torch.export.export(module(True).eval(), (images[:1],)), path)
    session = Session(lambda _: dataset)
    session.add(load(path, class_names=names), Source(path, path.name), dataset)
    return session
