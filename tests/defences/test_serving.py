"""The service of docs/how-to/serving.md, run as it stands there, on clean and triggered images."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.defences.planted import network, trigger_mask, triggered
from tests.detection.planted import pictures
from torch import Tensor

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serving.md"


def as_file(image: Tensor, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy().astype(np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_the_service_answers_class_suspicion_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    (tmp_path / "clean").mkdir()
    for number, image in enumerate(pictures(60, seed=2)[0]):
        (tmp_path / "clean" / f"{number}.png").write_bytes(as_file(image))
    monkeypatch.setenv("MODEL", str(network().save(tmp_path / "model.pt2")))
    monkeypatch.setenv("CLEAN", str(tmp_path / "clean"))
    monkeypatch.setenv("FALSE_ALARMS", "0.05")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    service: dict[str, object] = {"__name__": "service"}
    exec(compile(code, str(PAGE), "exec"), service)

    with TestClient(service["app"]) as client:  # type: ignore[arg-type]
        bad = [client.post("/classify", content=as_file(image)).json() for image in triggered(6)]
        good = [client.post("/classify", content=as_file(image)).json() for image in pictures(12, seed=9)[0]]
        assert {each["class"] for each in bad} == {network().class_names[int(network()(triggered(1)).argmax())]}
        assert sum(each["suspicious"] for each in bad) > 4
        assert sum(each["suspicious"] for each in good) < 4
        assert sum(bool(trigger_mask()[each["row"], each["column"]]) for each in bad) > 4
        assert all(each["suspicious"] == (each["p_value"] <= 0.05 + 1e-9) for each in (*bad, *good))
        assert client.post("/classify", content=b"no image").status_code == 422
        assert client.post("/classify", content=b"\0" * 5_000_001).status_code == 413
