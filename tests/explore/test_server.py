"""The server: every route answers what the functions behind it answer, and every refusal is a sentence with its status."""

import base64
import io
import json
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from tests.explore.conftest import CLASSES, STAMPED, SUBJECT, TRIGGER, asking, new_session, served, unpacked

import trojancam as tc
from trojancam.explore import answers
from trojancam.explore.session import IMAGE_BYTES
from trojancam.explore.subjects import AboutSubject

LAYER = "conv2d_6"
STIMULATION = {"layer": LAYER, "feature_maps": [3], "value": 2.0, "unit": "map", "window": [0, 8, 3, 3]}


def png(size: tuple[int, int] = (40, 30), shade: int = 90) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (shade, 20, 200)).save(stream, "PNG")
    return stream.getvalue()


def test_a_session_tells_what_there_is(client, data, model_file, network):
    told = client.get("/api/session").json()
    (model,) = told["models"]
    assert told["version"] == tc.__version__
    assert told["data"] == {"source": f"images at {data}", "splits": {"test": 15}}
    assert (model["id"], model["name"], model["classes"], model["size"]) == (
        "m1", "trojan2.safetensors", list(CLASSES), [32, 32],
    )  # fmt: skip
    assert model["fingerprint"] == tc.load(model_file).fingerprint[:8]
    assert told["scan"] is None
    assert {"trojan2", "vgg"} <= set(told["architectures"])
    assert {"rgb-symmetric", "grey-unit"} <= set(told["preprocessings"])
    layer, axis = model["layers"][1], network.layer(LAYER).placement.rows
    assert (layer["name"], layer["feature_maps"], layer["size"]) == (LAYER, 32, [12, 12])
    assert layer["placement"]["rows"] == {"stride": axis.stride, "offset": axis.offset}
    recorded = model["recorded_trigger"]
    assert (recorded["row"], recorded["column"], recorded["height"], recorded["width"]) == (2, 26, 4, 4)
    assert recorded["colour"] == pytest.approx([0, 180 / 255, 180 / 255])
    assert (recorded["opacity"], recorded["target"], recorded["name"]) == (0.4, 1, "blue-green-square")


def test_images_come_as_a_sheet(client, images):
    found = client.get("/api/images", params={"model": "m1", "start": 2, "count": 12}).json()
    assert found["total"] == 15
    assert [each["index"] for each in found["images"]] == list(range(2, 14))
    assert found["tile"] == [32, 32]
    sheet = picture(found["atlas"])
    assert sheet.shape == (3, 64, 320)
    torch.testing.assert_close(sheet[:, 32:, 32:64], images[13])
    assert not sheet[:, 32:, 64:].any()


def test_images_of_one_class(client):
    found = client.get("/api/images", params={"model": "m1", "class": 1, "start": 3}).json()
    assert found["total"] == 5
    assert [(each["index"], each["label"]) for each in found["images"]] == [(8, 1), (9, 1)]
    nothing = client.get("/api/images", params={"model": "m1", "start": 99}).json()
    assert (nothing["images"], picture(nothing["atlas"]).shape) == ([], (3, 32, 32))


def picture(address: str) -> torch.Tensor:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(content))))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def test_every_question_is_answered_as_its_function_does(client, session):
    found = client.post("/api/explain", json={"subject": STAMPED}).json()
    expected = json.loads(json.dumps(answers.explain(session, AboutSubject.model_validate({"subject": STAMPED}))))
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert picture(found["image"]).shape == (3, 32, 32)
    layer = client.post("/api/layer", json={"subject": SUBJECT, "layer": LAYER}).json()
    assert unpacked(layer["contributions"]).shape == (32, 12, 12)
    single = client.post("/api/map", json={"subject": SUBJECT, "layer": LAYER, "map": 3}).json()
    torch.testing.assert_close(unpacked(single["contributions"]), unpacked(layer["contributions"])[3])
    changed = client.post("/api/stimulate", json={"subject": SUBJECT, "stimulation": STIMULATION}).json()
    assert changed["layers"][0]["name"] == LAYER


def test_an_image_can_be_sent(client):
    identifier = client.post("/api/uploads", params={"name": "my sign.png"}, content=png()).json()["id"]
    assert re.fullmatch(r"u\d+-[0-9a-f]{6}", identifier)
    found = client.post("/api/explain", json={"subject": {"model": "m1", "image": {"upload": identifier}}}).json()
    assert found["label"] is None
    assert picture(found["image"])[:, 0, 0].tolist() == pytest.approx([90 / 255, 20 / 255, 200 / 255])


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "empty"), (b"hello", "not an image"), (png()[:60], "damaged|cut short|not an image")],
)
def test_a_wrong_image_is_refused(refused, content, part):
    sentence = refused(400, "POST", "/api/uploads", content=content)
    assert any(each in sentence for each in part.split("|"))
    assert "/tmp" not in sentence


def test_what_is_too_large_is_refused_whether_or_not_it_says_so(refused):
    assert "16 MB" in refused(413, "POST", "/api/uploads", content=b"x" * (IMAGE_BYTES + 1))
    assert "16 MB" in refused(413, "POST", "/api/uploads", content=(b"x" * 2**20 for _ in range(17)))
    assert "4 MB" in refused(413, "POST", "/api/explain", content=b"x" * (4 * 2**20 + 1))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "part"),
    [
        ("POST", "/api/explain", {"subject": {**SUBJECT, "model": "m7"}}, 404, "no model 'm7'"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "image": {"split": "test", "index": 99}}}, 404, "99"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "image": {"upload": "u9"}}}, 404, "open its file"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "image": {"upload": "../m1"}}}, 404, "open its file"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "image": {}}}, 400, "a split and an index, or an upload"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "path": "/etc/passwd"}}, 400, "subject.path"),
        ("POST", "/api/explain", {"subject": {**SUBJECT, "trigger": {**TRIGGER, "opacity": 0}}}, 400, "opacity"),
        ("POST", "/api/explain", {}, 400, "subject"),
        ("POST", "/api/layer", {"subject": SUBJECT, "layer": "none"}, 400, "unknown layer 'none'"),
        ("POST", "/api/map", {"subject": SUBJECT, "layer": LAYER, "map": 99}, 400, "0 to 31"),
        ("POST", "/api/map", {"subject": SUBJECT, "layer": LAYER, "map": -1}, 400, "map"),
        ("POST", "/api/stimulate", {"subject": SUBJECT, "stimulation": {"layer": LAYER, "value": "x"}}, 400, "value"),
        ("POST", "/api/code", {"view": "map", "subject": SUBJECT}, 400, "layer"),
        ("POST", "/api/code", {"view": "explain", "subject": SUBJECT, "colour": "red"}, 400, "colour"),
        ("POST", "/api/export?format=png", {"view": "explain", "subject": SUBJECT, "scale": "each"}, 400, "scale"),
        ("POST", "/api/export?format=svg", {"view": "explain", "subject": SUBJECT}, 400, "format"),
        ("POST", "/api/export?format=png", {"view": "scan", "scan": "s9"}, 404, "scan"),
        ("GET", "/api/images?model=m1&class=3", None, 400, "unknown class '3'"),
        ("GET", "/api/images?model=m1&count=100000", None, 400, "count"),
        ("GET", "/api/scans/s9", None, 404, "scan"),
        ("DELETE", "/api/scans/s9", None, 404, "scan"),
        ("GET", "/api/scans/s9/page", None, 404, "scan"),
        ("GET", "/api/scans/s9/events", None, 404, "scan"),
        ("POST", "/api/scans", {"model": "m9"}, 404, "m9"),
        ("POST", "/api/scans", {"model": "m1", "methods": ["guess"]}, 400, "unknown scan method"),
        ("POST", "/api/scans", {"model": "m1", "images": 1}, 400, "images"),
        ("GET", "/api/elsewhere", None, 404, "nothing at this address"),
        ("GET", "/api/explain", None, 405, "address"),
        ("GET", "/static/../server.py", None, 404, "nothing at this address"),
        ("GET", "/static/%2e%2e/server.py", None, 404, "nothing at this address"),
        ("GET", "/static/..%2f..%2fserver.py", None, 404, "nothing at this address"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(refused, method, path, body, status, part):
    assert part in refused(status, method, path, **({} if body is None else {"json": body}))


def test_a_body_that_is_no_json_is_refused(refused):
    refused(400, "POST", "/api/explain", content=b"{")
    refused(400, "POST", "/api/explain", content=b"\xff\xfe")


def test_what_nobody_foresaw_is_told_too(session, monkeypatch):
    monkeypatch.setattr(session, "description", lambda: 1 / 0)
    with served(session) as (access, address), asking(access, address) as client:
        answer = client.get("/api/session")
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.json()["error"]


def test_the_code_of_a_scan_that_is_not_begun_has_its_settings(client):
    view = {"view": "scan", "model": "m1", "scan": None}
    settings = {"images": 12, "seed": 4294967295, "methods": ["abs"]}
    code = client.post("/api/code", json={**view, "scanning": settings}).json()["python"]
    assert "images.take(12, seed=4294967295, spread=True)" in code
    assert "['abs'], seed=4294967295)" in code
    assert (
        "images.take(100, seed=0, spread=True)"
        in client.post("/api/code", json={**view, "scanning": None}).json()["python"]
    )


@pytest.mark.parametrize("format_", ["png", "json"])
@pytest.mark.parametrize(
    "view",
    [
        {"view": "explain", "subject": STAMPED},
        {"view": "layer", "subject": SUBJECT, "layer": LAYER},
        {"view": "map", "subject": SUBJECT, "layer": LAYER, "map": 3},
        {"view": "stimulate", "subject": SUBJECT, "stimulation": STIMULATION},
    ],
)
def test_every_view_can_be_taken_away(client, format_, view):
    answer = client.post("/api/export", params={"format": format_}, json=view)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="trojancam-{view["view"]}.{format_}"'
    if format_ == "png":
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
        return
    asked = client.post(f"/api/{view['view']}", json={key: part for key, part in view.items() if key != "view"}).json()
    given = answer.json()["answer"]
    if view["view"] == "layer":
        torch.testing.assert_close(torch.tensor(given["contributions"]), unpacked(asked["contributions"]))
    if view["view"] == "stimulate":
        assert given["after"] == asked["after"]


def test_twenty_clients_at_once_get_what_one_gets(session):
    questions = [
        {"subject": {**SUBJECT, "image": {"split": "test", "index": i % 15}, "explain": i % 3}} for i in range(20)
    ]
    with served(session) as (access, address):
        with asking(access, address) as client:
            alone = [client.post("/api/explain", json=each).json() for each in questions]
        together: dict[int, dict] = {}

        def ask(number: int) -> None:
            with asking(access, address) as client:
                for _ in range(3):
                    together[number] = client.post("/api/explain", json=questions[number]).json()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number, answer in enumerate(alone):
        assert {**together[number], "seconds": 0} == {**answer, "seconds": 0}


def test_what_was_sent_is_gone_when_the_server_ends(data, model_file):
    session = new_session(data, model_file)
    with served(session) as (access, address), asking(access, address) as client:
        client.post("/api/uploads", content=png())
        assert list(session.folder.iterdir())
    assert not session.folder.exists()


def test_the_page_names_its_token_and_nothing_foreign(client):
    answer = client.get("/")
    assert client.headers["x-trojancam-token"] in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "://" not in answer.text
    for part in answer.text.split('"'):
        if part.startswith("static/"):
            found = client.get(f"/{part}")
            assert found.status_code == 200, part
            if part.endswith(".js"):
                assert found.headers["content-type"].startswith("text/javascript")
