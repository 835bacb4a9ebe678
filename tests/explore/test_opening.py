"""Opening what a browser sends: by the safe readers, whole or not at all, and nothing that it names is run or found here."""

import pytest
import torch
from tests.explore.conftest import CLASSES, SUBJECT, asking, new_session, served, write_model

import trojancam as tc
from trojancam.explore.session import IMAGES_KEPT, MODELS_KEPT
from trojancam.models import architecture
from trojancam.models.recipe import initial_module


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
    assert "--architecture" in refused(400, "POST", "/api/models", params={"name": "w.pt"}, content=content)
    options = {"name": "w.pt", "architecture": "trojan2", "preprocessing": "rgb-quarter"}
    sent = client.post("/api/models", params=options, content=content)
    assert sent.status_code == 200, sent.text
    assert sent.json()["classes"] == list(CLASSES)


@pytest.mark.parametrize("name", ["os:abort", "tests.nets:Plain", "/tmp/x.py:f", "subprocess:Popen", "resnt"])
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
