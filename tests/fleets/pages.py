"""A fleet's page with every kind of row, for tests and for the eye."""

import random
from pathlib import Path

from trojancam.fleets.fleet_page import write_fleet_page
from trojancam.fleets.result import Result, suspicion
from trojancam.fleets.table import Row

COUNT = 24


def rows(count: int = COUNT) -> tuple[Row, ...]:
    """Scanned, refused and late models; names that are markup, or no text."""
    chance = random.Random(0)
    found = []
    for number in range(count):
        score = chance.lognormvariate(-0.7, 0.4) if number % 6 else 2.0 + number / 20
        verdict = "backdoor" if score > 1.5 else "inconclusive" if score > 0.9 else "nothing found"
        result = Result(
            "done", verdict, suspicion=suspicion(score), score=score, p_value=min(1.0, 0.02 / score),
            target_class=number, class_name=f"class {number}", place="top right, around row 3, column 27",
            method="stimulation", accuracy=chance.uniform(0.9, 1.0), architecture=("trojan2", "resnet", "vit")[number % 3],
            format="safetensors", would_run="", page=f"models/net-{number}/scan.html", seconds=30.0, megabytes=512.0,
        )  # fmt: skip
        found.append(
            Row(number, f"nets/net-{number}.safetensors", f"/nets/net-{number}", "ab" * 32, f"u{number}", result)
        )
    others = [
        (
            "<script>alert(1)</script>.pt",
            Result("refused", note="it would run os.system", would_run="os.system"),
        ),
        ("late.onnx", Result("deadline", note="it takes longer than 900 s", seconds=900.0, limit=900.0)),
        ("\udcff.pt", Result("killed", note="its process ended twice without a result (it was ended by SIGKILL)")),
    ]
    for name, result in others:
        found.append(Row(len(found), name, f"/{name}", "cd" * 32, None, result))
    return (*found, Row(len(found), "waiting.pt", "/waiting.pt", None, None, None))


def page(folder: Path) -> Path:
    """The page in a folder."""
    about = {"trojancam": "1", "settings": '{"task": "scan"}', "data": "rendered signs", "shard": "all rows"}
    return write_fleet_page(rows(), folder / "fleet.html", about)
