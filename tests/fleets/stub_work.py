"""Work that only says that it was done: what a worker runs in tests and benchmarks of pools."""

import json
import os
import time
from pathlib import Path

from trojancam.fleets.result import Result
from trojancam.fleets.unit import Unit


def work(unit: str, folder: str, limits: str) -> str:
    """Take a moment, then note in a file of this process which unit was done."""
    asked = Unit.model_validate_json(unit)
    time.sleep(0.05)
    with Path(folder, f"done-by-{os.getpid()}").open("a") as log:
        log.write(f"{asked.sha256}\n")
    return json.dumps(Result("done", "opened", details={"sha256": asked.sha256}).to_json())


def failing(unit: str, folder: str, limits: str) -> str:
    raise RuntimeError("no work today")


def done(folder: Path) -> list[str]:
    """Which units were done, each as often as it was."""
    return [line for log in folder.glob("done-by-*") for line in log.read_text().split()]


def workers(folder: Path) -> set[int]:
    """The processes that have done some."""
    return {int(log.name.removeprefix("done-by-")) for log in folder.glob("done-by-*")}
