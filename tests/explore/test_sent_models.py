"""Opening what a browser sends: by the safe readers, whole or not at all, and nothing that it names is run or found here."""

import re

import pytest
import torch
from tests.explore.conftest import CLASSES, SUBJECT, asking, new_session, served, write_model
from torch import nn

import trojancam as tc
from trojancam.architectures import architecture
from trojancam.explore import session as sessions
from trojancam.explore.models import Model, Source
from trojancam.explore.refusals import BusyError
from trojancam.explore.session import IMAGES_KEPT, MODELS_KEPT, Session
from trojancam.explore.workers import Workers
from trojancam.training.recipe import initial_module


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("sent") / "basic.safetensors", "basic")


def test_a_model_that_is_sent_is_looked_at_like_any_other(client, basic, images):
    sent = client.post("/api/models", params={"name": "my net.safetensors"}, content=basic.read_bytes())
    assert sent.status_code == 200, sent.text
    told = sent.json()
    assert (told["name"], told["classes"], told["architecture"]) == ("my net.safetensors", list(CLASSES), "basic")
    assert told in client.get("/api/session").json()["models"]
    answer = client.post("/api/explain", json={"subject": {**SUBJECT, "model": told["id"]}}).json()
    expected = tc.load(basic)(images[4:5])[0]
    torch.testing.assert_close(torch.tensor(answer["logits"]), expected)


def test_weights_alone_need_an_architecture_by_name(client, refused, tmp_path):
    module = initial_module(architecture("trojan2"), 3, seed=1)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    content = (tmp_path / "weights.pt").read_bytes()
    sentence = refused(400, "POST", "/api/models", params={"name": "w.pt"}, content=content)
    assert "choose its architecture in the dialog" in sentence
    assert not re.search(r"--|callable", sentence)
    options = {"name": "w.pt", "architecture": "trojan2"}
    sentence = refused(400, "POST", "/api/models", params=options, content=content)  # untrained, none is right
    assert "choose how it is fed in the dialog" in sentence
    assert "--" not in sentence
    options["preprocessing"] = "rgb-quarter"
    sent = client.post("/api/models", params=options, content=content)
    assert sent.status_code == 200, sent.text
    assert sent.json()["classes"] == list(CLASSES)


SCHEMES = [
    "timm:hf-hub:someone/model", "timm:hf_hub:someone/model", "timm:local-dir:/etc", "timm:../x", "timm:", "timm:a\n",
]  # fmt: skip


@pytest.mark.parametrize("name", ["os:abort", "tests.nets:Plain", "/tmp/x.py:f", "subprocess:Popen", "resnt", *SCHEMES])
def test_no_code_can_be_named(refused, name):
    options = {"name": "w.pt", "architecture": name}
    assert "unknown architecture" in refused(400, "POST", "/api/models", params=options, content=b"x")


@pytest.mark.parametrize("name", ["/etc/hosts", "x.json", "rgb"])
def test_no_file_can_be_named(refused, basic, name):
    options = {"name": "w.safetensors", "preprocessing": name}
    content = basic.read_bytes()
    assert "unknown preprocessing" in refused(400, "POST", "/api/models", params=options, content=content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../../etc/passwd", b"root"),
        ("a.onnx", b"\x08no"),
        ("a.safetensors", b"\x00" * 40),
        ("a.pt", b"\x80\x04cos\nabort\n."),
        ("", b""),
        ("a.keras", b"PK\x03\x04broken"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_that_people_know(refused, session, name, content):
    before = set(session.folder.iterdir())
    sentence = refused(400, "POST", "/api/models", params={"name": name}, content=content)
    assert str(session.folder) not in sentence
    assert set(session.folder.iterdir()) == before


def test_other_classes_are_refused(refused, tmp_path):
    other = write_model(tmp_path / "other.safetensors", "trojan2", ("one", "two"))
    options = {"name": "other.safetensors"}
    assert "2 classes" in refused(400, "POST", "/api/models", params=options, content=other.read_bytes())


def test_of_many_the_oldest_are_forgotten(data, model_file, basic):
    session = new_session(data, model_file)
    with served(session) as (access, address), asking(access, address) as client:
        content = basic.read_bytes()
        sent = [
            client.post("/api/models", params={"name": f"{i}.safetensors"}, content=content).json()["id"]
            for i in range(MODELS_KEPT + 1)
        ]
        known = [model["id"] for model in client.get("/api/session").json()["models"]]
        assert known == ["m1", *sent[1:]]
        gone = client.post("/api/explain", json={"subject": {**SUBJECT, "model": sent[0]}})
        assert gone.status_code == 404
        assert len(list(session.folder.glob("model-*"))) == MODELS_KEPT


def test_of_many_images_the_oldest_are_forgotten(data, model_file):
    from tests.explore.test_server import png

    session = new_session(data, model_file)
    sent = [session.upload_image(png((8, 8), number)) for number in range(IMAGES_KEPT + 2)]
    assert len(list(session.folder.iterdir())) == IMAGES_KEPT
    assert session.name_of(sent[2]) == "image"
    with pytest.raises(tc.TrojanCamError, match="open its file again"):
        session.name_of(sent[1])
    session.close()


def network_for(side, classes=CLASSES):
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, len(classes))
    )
    return tc.Network.from_module(module, (side, side), class_names=classes)


@pytest.fixture
def counted(data, model_file):
    """A session, and the sizes for which it has read test images."""
    sizes = []

    def load(network):
        sizes.append(network.input.size[0])
        return tc.data.load_dataset(data, size=network.input.size)

    session = Session(load, data)
    session.add(tc.load(model_file), Source(model_file, model_file.name))
    yield session, sizes
    session.close()


def test_other_classes_are_refused_before_test_images_are_read(counted):
    session, sizes = counted
    with pytest.raises(tc.TrojanCamError, match="tells 2 classes apart, but the data has 3; give images"):
        session.images_for(network_for(48, ("one", "two")))
    assert sizes == [32]


def test_test_images_that_would_not_fit_into_memory_are_not_read(counted, monkeypatch):
    session, sizes = counted
    monkeypatch.setattr(sessions, "GALLERY_BYTES", 15 * 3 * 40 * 40)
    assert len(session.images_for(network_for(40))) == 15
    with pytest.raises(tc.TrojanCamError, match="48x48 pixels, and 15 test images .* need 0.0 GB, .*; open a network"):
        session.images_for(network_for(48))
    assert sizes == [32, 40]


def test_test_images_go_with_the_last_model_that_is_shown_them(counted, tmp_path):
    session, sizes = counted
    for number, side in enumerate((48, 48, *[32] * (MODELS_KEPT - 1))):
        session.add(network_for(side), Source(tmp_path / str(number), "sent", uploaded=True))
    assert sizes == [32, 48]
    session.images_for(network_for(48))  # one of the two is there still
    assert sizes == [32, 48]
    session.add(network_for(32), Source(tmp_path / "last", "sent", uploaded=True))
    session.images_for(network_for(48))
    assert sizes == [32, 48, 48]


def test_a_model_that_cannot_be_looked_at_leaves_neither_file_nor_test_images(counted, tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    session, sizes = counted
    monkeypatch.setattr(Model, "of", exhausted)
    with served(session) as (access, address), asking(access, address) as client:
        content = write_model(tmp_path / "basic.safetensors", "basic").read_bytes()
        session.models.clear()
        answer = client.post("/api/models", params={"name": "b.safetensors"}, content=content)
        assert answer.status_code == 500
        assert "MemoryError" in answer.json()["error"]
        assert not list(session.folder.iterdir())
    session.images_for(network_for(32))
    assert sizes == [32, 32]


def test_a_model_that_nobody_has_time_for_leaves_no_file(counted, basic, monkeypatch):
    async def busy(*_):
        raise BusyError("the explorer is busy; try again in a moment")

    session, _ = counted
    monkeypatch.setattr(Workers, "do", busy)
    with served(session) as (access, address), asking(access, address) as client:
        answer = client.post("/api/models", params={"name": "b.safetensors"}, content=basic.read_bytes())
        assert answer.status_code == 503
        assert not list(session.folder.iterdir())
