"""The explorer under load and by itself: `python -m benchmarks.exploring --help`; a real server, asked by a real client.

Twenty clients do what people do, all at once, for five minutes: look at other images, open layers and feature maps, drag a
strength. Nothing may fail, and the server's memory must not grow once it is warm. Then one client alone is timed.
"""

import argparse
import itertools
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks import browsing
from benchmarks.commands import COMMAND
from trojancam.architectures import architecture
from trojancam.explore.security import TOKEN_HEADER
from trojancam.explore.session import CACHED
from trojancam.formats.safetensors import save_model
from trojancam.network.card import ModelCard
from trojancam.training.recipe import initial_module

CLIENTS, SECONDS = 20, 300.0
FULL = 1.0  # of what the cache holds, in images looked at before memory is: each leaves at least two recordings
TIMED = 40  # requests for each median
PATIENCE = 60.0
NETWORKS = ("trojan2", "trojan1")
COLOUR = [0.0, 0.7, 0.7]

Question = tuple[str, dict[str, Any]]


@dataclass
class Load:
    """What the clients saw: seconds of every answer, refusals and failures, the server's memory over time."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    busy: int = 0
    megabytes: list[float] = field(default_factory=list)

    @property
    def fifths(self) -> list[float]:
        """The server's memory in megabytes, means over fifths of the time."""
        length = max(1, len(self.megabytes) // 5)
        return [statistics.mean(self.megabytes[start : start + length]) for start in range(0, 5 * length, length)]

    def all_seconds(self) -> list[float]:
        return [second for seconds in self.seconds.values() for second in seconds]


@dataclass(frozen=True)
class Row:
    """One client alone: median milliseconds of an answer, from asking to having read it, and to having it on the page."""

    network: str
    layer: str
    maps: int
    stimulation: float
    stimulation_shown: float
    grid: float
    grid_shown: float


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--data", help="as of trojancam explore; rendered signs if left out")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, explorer(Path(folder), given.data) as (address, process):
        for row in rows(address):
            print(
                f"{row.network} {row.layer} ({row.maps} maps): stimulation {row.stimulation:.1f} ms, shown after "
                f"{row.stimulation_shown:.0f} ms; grid {row.grid:.1f} ms, shown after {row.grid_shown:.0f} ms"
            )
        found = load(address, process, given.clients, given.seconds)
    print("\n".join(in_words(found, given.clients, given.seconds)))
    if found.failures:
        raise SystemExit(1)


def in_words(found: Load, clients: int, seconds: float) -> list[str]:
    everything = sorted(found.all_seconds())
    lines = [
        f"{clients} clients for {seconds:.0f} s: {len(everything):,} answers ({len(everything) / seconds:.0f}/s), "
        f"{len(found.failures)} errors, {found.busy} told to try again"
    ]
    for name, times in {"all": everything, **found.seconds}.items():
        ordered = sorted(times)
        middle, high = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95))
        lines.append(f"{name}: median {middle * 1e3:,.0f} ms, p95 {high * 1e3:,.0f} ms, of {len(ordered):,}")
    fifths = ", ".join(f"{megabytes:,.0f}" for megabytes in found.fifths)
    lines.append(f"memory of the server, its cache being full, in fifths of the time: {fifths} MB")
    return [*lines, *found.failures[:5]]


@contextmanager
def explorer(folder: Path, data: str | None = None) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The command, running, with untrained networks of the study's two architectures."""
    files = [_model(folder, name) for name in NETWORKS]
    command = [COMMAND, "explore", *map(str, files), "--port", "0", "--no-open", *(["--data", data] if data else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        yield re.findall(r"http://\S+", line)[0], process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def rows(address: str) -> Iterator[Row]:
    """Medians of one client alone: a stimulation dragged to ever other strengths, and a grid opened on other images."""
    with _client(address) as client, browsing.page_of(address) as page:
        for model in _models(client):
            for layer in model["layers"]:
                stimulate = (_stimulation(model, layer, 0, strength / 10) for strength in itertools.count())
                grid = (_layer(model, layer, image) for image in itertools.count(1000))
                asked = _median(client, stimulate), _median(client, grid)
                shown = browsing.timed(page, model["id"], layer["name"])
                yield Row(
                    model["architecture"], layer["name"], layer["feature_maps"],
                    asked[0], shown.stimulation, asked[1], shown.grid,
                )  # fmt: skip


def load(address: str, process: "subprocess.Popen[str]", clients: int = CLIENTS, seconds: float = SECONDS) -> Load:
    """Many clients at once, once the server's cache is full: only then it can be told whether memory grows."""
    _fill(address)
    found, end = Load(), time.monotonic() + seconds
    threads = [threading.Thread(target=_person, args=(address, number, end, found)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found.megabytes.append(_megabytes(process.pid))
        time.sleep(min(1.0, seconds / 50))
    return found


def _fill(address: str) -> None:
    """Do what people do until the cache has had to forget all that it held."""
    chance, found = random.Random(-1), Load()
    with _client(address) as client:
        models = _models(client)
        recordings = statistics.mean(2 * 4 * _cells(model) for model in models)  # activations and gradients
        for _ in range(round(FULL * CACHED / recordings)):
            for path, question in _visit(chance, chance.choice(models)):
                _ask(client, path, question, found)
    if found.failures:
        raise SystemExit(found.failures[0])


def _person(address: str, number: int, end: float, found: Load) -> None:
    """One person: looks at an image, opens a layer and a map of it, drags the strength, and goes on to the next."""
    chance = random.Random(number)
    with _client(address) as client:
        models = _models(client)
        while time.monotonic() < end:
            model = chance.choice(models)
            for path, question in _visit(chance, model):
                if time.monotonic() >= end:
                    return
                _ask(client, path, question, found)


def _visit(chance: random.Random, model: dict[str, Any]) -> Iterator[Question]:
    image, layer = chance.randrange(2000), chance.choice(model["layers"])
    number, row, column = chance.randrange(layer["feature_maps"]), chance.randrange(28), chance.randrange(28)
    trigger = {"row": row, "column": column, "height": 4, "width": 4, "colour": COLOUR, "opacity": 0.4}
    yield "explain", {"subject": _subject(model, image)}
    yield "explain", {"subject": _subject(model, image) | {"trigger": trigger}}
    yield _layer(model, layer, image)
    yield "map", {"subject": _subject(model, image), "layer": layer["name"], "map": number}
    for _ in range(8):
        yield _stimulation(model, layer, image, chance.uniform(0, 4), number)


def _ask(client: httpx.Client, path: str, question: dict[str, Any], found: Load) -> None:
    started = time.perf_counter()
    try:
        answer = client.post(f"/api/{path}", json=question)
    except httpx.HTTPError as error:
        found.failures.append(f"{path}: {error!r}")
        return
    if answer.status_code == 503:
        found.busy += 1
    elif answer.status_code != 200:
        found.failures.append(f"{path}: {answer.status_code} {answer.text[:200]}")
    else:
        found.seconds.setdefault(path, []).append(time.perf_counter() - started)


def _median(client: httpx.Client, questions: Iterator[Question]) -> float:
    times = []
    for path, question in itertools.islice(questions, TIMED):
        started = time.perf_counter()
        answer = client.post(f"/api/{path}", json=question)
        answer.raise_for_status()
        answer.json()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def _subject(model: dict[str, Any], image: int) -> dict[str, Any]:
    return {"model": model["id"], "image": {"split": "test", "index": image}}


def _layer(model: dict[str, Any], layer: dict[str, Any], image: int) -> Question:
    return "layer", {"subject": _subject(model, image), "layer": layer["name"]}


def _stimulation(model: dict[str, Any], layer: dict[str, Any], image: int, value: float, number: int = 0) -> Question:
    wanted = {"layer": layer["name"], "feature_maps": [number], "value": value, "unit": "map"}
    return "stimulate", {"subject": _subject(model, image), "stimulation": wanted}


@contextmanager
def _client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address.partition("?")[0], timeout=PATIENCE, follow_redirects=True) as client:
        token = re.findall(r'trojancam-token" content="([^"]+)"', client.get(address).text)[0]
        client.headers[TOKEN_HEADER] = token
        yield client


def _models(client: httpx.Client) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = client.get("/api/session").json()["models"]
    return models


def _cells(model: dict[str, Any]) -> int:
    """Of all feature maps of all layers."""
    return sum(layer["feature_maps"] * layer["size"][0] * layer["size"][1] for layer in model["layers"])


def _model(folder: Path, name: str) -> Path:
    chosen, path = architecture(name), folder / f"{name}.safetensors"
    card = ModelCard(architecture=name, class_names=tuple(f"sign {i}" for i in range(43)), input=chosen.input)
    save_model(path, initial_module(chosen, 43, seed=0), card)
    return path


def _megabytes(process: int) -> float:
    """The memory that a process holds now."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main(sys.argv[1:])
