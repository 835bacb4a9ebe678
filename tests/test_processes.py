"""Nothing in the current folder is imported or obeyed: not by a command, not by the processes that it starts."""

import ast
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.detection.planted import CLASSES, module, pictures
from typer.main import get_command

import trojancam
from trojancam import processes
from trojancam.architectures import architecture
from trojancam.cli import app
from trojancam.explore import scans
from trojancam.formats.keras.arrays import listed
from trojancam.formats.safetensors import save_model
from trojancam.network.card import ModelCard

SOURCE = Path(trojancam.__file__).parent
PLACES = (SOURCE, SOURCE.with_name("trojancam_study"))
STARTING = {"subprocess", "multiprocessing", "pty", "asyncio.subprocess", "ProcessPoolExecutor"}
CONFIGURATIONS = {  # read from the current folder by whoever has them for a habit
    "matplotlibrc": "text.usetex: True\nfigure.facecolor: 123456\n",
    ".env": "TROJANCAM_CACHE=/nowhere\n",
    "keras.json": '{"backend": "hostile"}',
    "pyvenv.cfg": "home = /nowhere\n",
    "setup.cfg": "[hostile]\n",
    "uvicorn.json": '{"app": "hostile:app"}',
    ".netrc": "machine hostile\n",
}
STANDARD = (
    "sitecustomize", "usercustomize", "json", "random", "socket", "sqlite3", "statistics", "readline", "secrets"
)  # fmt: skip


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with a model, an image, and files that write a canary if anything imports, runs or obeys them."""
    folder = with_canaries(tmp_path)
    Image.new("RGB", (32, 32), "red").save(folder / "sign.png")
    names = ("a", "b", "c")
    save_model(
        folder / "net.safetensors",
        architecture("trojan1").build(3),
        ModelCard(architecture="trojan1", input=architecture("trojan1").input, class_names=names),
    )
    return folder


def with_canaries(place: Path) -> Path:
    """A folder in this place, full of files that write `canary` beside it."""
    folder = place / "downloads"
    folder.mkdir()
    canary = f"open({str(place / 'canary')!r}, 'a').write(__name__ + chr(10))\n"
    for name in importable():
        (folder / f"{name}.py").write_text(canary + "raise SystemExit('hostile')\n")
    for name, text in CONFIGURATIONS.items():
        (folder / name).write_text(text)
    for name in ("latex", "dvipng", "kpsewhich", "fc-list", "git"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {place / 'canary'}\n")
        (folder / name).chmod(0o755)
    return folder


@cache
def importable() -> list[str]:
    """What Python or a package that is installed could import; the metadata of all packages takes long to read."""
    names = {*packages_distributions(), *STANDARD} - {"trojancam", "trojancam_study", "tests", "benchmarks"}
    return [name for name in names if name.isidentifier()]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MATPLOTLIBRC")}
    return {**kept, "PYTHONPATH": str(SOURCE.parent), "PATH": f"{os.environ['PATH']}:.", "OMP_NUM_THREADS": "1", **more}


COMMANDS = {
    "inspect": ("inspect", "net.safetensors"),
    "explain": ("explain", "net.safetensors", "sign.png", "--out", "../out"),
    "a missing file": ("inspect", "nowhere.pt"),
    "methods": ("methods",),
    "models": ("models",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_obey_nothing_in_the_current_folder(hostile: Path, name: str) -> None:
    """As `python -m trojancam`, but for what Python itself imports before, and as the script `trojancam` starts them.

    Where they compute, their script itself is started below.
    """
    by_script = [] if name in WORK else [["-c", "from trojancam.cli import app; app(prog_name='trojancam')"]]
    for start in (["-m", "trojancam"], *by_script):
        command = [sys.executable, *(["-P"] if start[0] == "-c" else []), *start, *COMMANDS[name]]
        done = subprocess.run(command, cwd=hostile, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == (2 if "nowhere.pt" in command else 0), done.stderr
        assert not (hostile.parent / "canary").exists(), (hostile.parent / "canary").read_text()


SAID = ("--class-names", "../names.txt", "--preprocessing", "rgb-unit")
DATA = ("--data", "../data")
SHORT = (
    "--images",
    "18",
    "--methods",
    "stimulation",
    "--set",
    "stimulation.rounds=3",
    "--set",
    "stimulation.candidates=2",
)
WORK: dict[str, list[tuple[tuple[str, ...], set[int], str]]] = {  # commands, their exit codes, and what they write
    "scan": [
        (("scan", "../net.pt2", *SAID, *DATA, *SHORT, "--out", "../scanned"), {0, 1, 3}, "scanned/scan.html"),
        (
            ("repair", "../net.pt2", *SAID, *DATA, "--images", "3", "--method", "fine-tuning", "--scan",
             "../scanned/scan.json", "--out", "../fixed.pt2", "--report", "../repaired"), {0, 3}, "repaired/repair.html",
        ),
        (("sign-off", "../net.pt2", "--scan", "../scanned", "--out", "../passport"), {0}, "passport/passport.json"),
        (("verify", "../passport/passport.json", "../net.pt2"), {0, 1, 3}, ""),
        (("calibrate", "../net.pt2", *SAID, *DATA, *SHORT, "--out", "../reference.json"), {0}, "reference.json"),
    ],
    "inspect": [
        (("inspect", "../net.pt2", *SAID, *DATA), {0}, ""),
        (("fleet", "../net.pt2", "--task", "inspect", "--out", "../fleet"), {0}, "fleet/fleet.html"),
    ],
    "explain": [
        (("explain", "../net.pt2", *SAID, "../data/test/c1", "--out", "../explained"), {0}, "explained/index.html"),
        (
            ("stimulate", "../net.pt2", *SAID, *DATA, "--layer", "0", "--maps", "0", "--images", "2", "--out", "../stimulated"),
            {0}, "stimulated/index.html",
        ),
        (
            ("compare", "../net.pt2", *SAID, *DATA, "--n", "3", "--methods", "grad-cam", "--layers", "0", "--out",
             "../compared"), {0}, "compared/index.html",
        ),
    ],
    "train": [
        (("train", "trojan2", *DATA, "--epochs", "1", "--no-augment", "--out", "../m.safetensors"), {0}, "m.safetensors"),
        (
            ("sift", "../net.pt2", *SAID, "../data/test/c1", *DATA, "--clean", "20", "--false-alarms", "0.2", "--out",
             "../sifted"), {0, 1}, "sifted/index.html",
        ),
        (
            ("cleanse", "../net.pt2", *SAID, "../data/train", "--methods", "spectral-signatures", "--share", "0.1", "--out",
             "../cleansed"), {0, 1}, "downloads/suspicious.jsonl",
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("commands", WORK)
def test_commands_that_compute_obey_nothing_in_the_current_folder(tmp_path: Path, commands: str) -> None:
    """As their script starts them, each to its end: nothing there is run, and the work is done."""
    script = shutil.which("trojancam", path=Path(sys.executable).parent)
    assert script is not None
    folder = with_canaries(tmp_path)
    _leave_material(tmp_path)
    for arguments, codes, written in WORK[commands]:
        done = subprocess.run(
            [script, *arguments],
            cwd=folder,
            env=environment(TROJANCAM_CACHE=str(tmp_path / "cache")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not (tmp_path / "canary").exists(), f"{arguments[0]}: {(tmp_path / 'canary').read_text()}"
        assert done.returncode in codes, done.stderr
        assert done.stdout, arguments[0]
        assert (tmp_path / written).exists(), arguments[0]


def test_every_command_is_tried_but_those_that_take_too_long() -> None:
    """Both of these do what others do, one after the other; what the explorer starts is tried below."""
    tried = {arguments[0] for group in WORK.values() for arguments, _, _ in group} | {
        each[0] for each in COMMANDS.values()
    }
    assert {each.name for each in get_command(app).commands.values()} - tried == {"demo", "reproduce", "explore"}


def _leave_material(place: Path) -> None:
    """A small network with a backdoor, and images of its classes."""
    images, labels = pictures(54)
    torch.export.save(torch.export.export(module(True).eval(), (torch.zeros(2, 3, 12, 12),)), place / "net.pt2")
    (place / "names.txt").write_text("\n".join(f"c{number}" for number in range(CLASSES)))
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        folder = place / "data" / ("train" if number < 27 else "test") / f"c{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(folder / f"{number}.png")


def test_the_canaries_are_real(hostile: Path) -> None:
    """Python by itself imports what lies in the current folder, and matplotlib obeys it."""
    for program in ("import jaxtyping", "import json"):
        subprocess.run(
            [sys.executable, "-c", program], cwd=hostile, env=environment(), capture_output=True, check=False
        )
    assert (hostile.parent / "canary").read_text().split() == ["jaxtyping", "json"]
    obeyed = "import sys; del sys.path[0]; import matplotlib; print(matplotlib.rcParams['text.usetex'])"
    told = subprocess.run(
        [sys.executable, "-c", obeyed], cwd=hostile, env=environment(), capture_output=True, check=True
    )
    assert told.stdout == b"True\n"


def test_the_explorer_s_scan_imports_nothing_from_the_current_folder(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins, and imports all that it needs, before it finds that there is no job."""
    job = tmp_path / "job"
    job.mkdir()
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(SOURCE.parent)]))  # an empty place is the current folder
    begun = processes.begun([*scans.COMMAND, str(job)], job, stdin=processes.PIPE, stdout=processes.PIPE, text=True)
    with begun:  # its input stays open: it would end with that
        assert begun.stdout is not None
        assert "job.json" in begun.stdout.read()
    assert not (tmp_path / "canary").exists()


def test_files_of_keras_are_listed_without_the_current_folder(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(hostile / "m.h5", "w") as file:
        file["weights"] = [1.0, 2.0]
    monkeypatch.chdir(hostile)
    assert listed(Path("m.h5")).arrays.keys() == {"/weights"}
    assert not (hostile.parent / "canary").exists()


def test_processes_work_in_a_folder_of_ours_and_import_what_we_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", str(tmp_path / "whole")]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    program = "import json, os, sys; print(json.dumps([os.getcwd(), sys.path]))"
    told = processes.finished(processes.python("-c", program), tmp_path / "own", capture_output=True)
    folder, path = json.loads(told.stdout)
    assert folder == str(tmp_path / "own")
    assert path[:2] == [str(tmp_path / "relative"), str(tmp_path / "whole")]
    assert not {"", str(tmp_path), str(tmp_path / "own")} & set(path)


def test_only_one_place_starts_processes() -> None:
    """Whoever adds another one has to put a canary there."""
    found = set()
    for path in (path for place in PLACES for path in place.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module, *(each.name for each in node.names)] if isinstance(node, ast.ImportFrom) else []
            if STARTING & set(names):
                found.add(path.relative_to(SOURCE.parent).as_posix())
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("os.system", "os.popen", "os.spawnv", "os.execv"), path
            assert called != "os.fork" or path.name == "processes.py", path
    assert found == {"trojancam/processes.py"}


def test_a_notebook_s_configuration_stays(tmp_path: Path) -> None:
    """`import trojancam` changes nothing for those who draw with matplotlib themselves."""
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: 123456\n")
    program = "import trojancam.figures.saving, matplotlib; print(matplotlib.rcParams['figure.facecolor'])"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert told.stdout == "#123456\n"


def test_the_package_leaves_the_path_of_other_programs_alone(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import sys, trojancam; print(sys.path[0])")
    told = subprocess.run(
        [sys.executable, "-m", "other"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert told.stdout == f"{tmp_path}\n"
