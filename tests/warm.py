"""Processes that begin with the heavy libraries imported and nothing of this package: forks of one that imported them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch", "torch.export", "torch.fx.experimental.symbolic_shapes", "numpy", "scipy.linalg", "scipy.special",
    "scipy.ndimage", "PIL.Image", "pydantic", "matplotlib.figure", "jinja2", "typer", "jaxtyping", "rich",
    "safetensors.torch", "fastapi", "uvicorn", "h5py", "onnx",
)  # fmt: skip
FORKING = f"""
import gc, importlib, json, os, sys, traceback
for name in {HEAVY}:
    importlib.import_module(name)
assert not [name for name in sys.modules if name.startswith("trojancam")]
gc.collect()
gc.freeze()  # so that forks share what there is
sys.dont_write_bytecode = False  # who first imports a module compiles it for the others
answers = os.dup(1)
for line in sys.stdin:
    wanted = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(wanted["folder"])
        for number, path in ((0, os.devnull), (1, wanted["output"]), (2, wanted["errors"])):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
        code = 0
        try:
            exec(compile(wanted["code"], "<code>", "exec"), {{"__name__": "__main__"}})
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.write(answers, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class Warm:
    """Runs code, each time in a fresh fork."""

    def __init__(self, process: "subprocess.Popen[str]", place: Path) -> None:
        self._process, self._place, self._number = process, place, 0

    def run(self, code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        """What comes of code, as of `python -c code` in a folder."""
        self._number += 1
        output, errors = (self._place / f"{self._number}.{name}" for name in ("output", "errors"))
        wanted = {"code": code, "folder": str(folder), "output": str(output), "errors": str(errors)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        end = self._process.stdout.readline()
        assert end, "the process that forks others has ended"
        return subprocess.CompletedProcess([code], int(end), output.read_text("utf-8"), errors.read_text("utf-8"))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """What runs code in processes of their own."""
    place = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
    variables = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables) as process:
        yield Warm(process, place)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
