"""What a release gives: wheel and sdist, installed into a clean environment without the checkout, work.

`make dist-check` runs it. It takes minutes, for PyTorch is installed anew, so that it is no test of the suite.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_BUILT = (".*", "*.egg-info", "build", "dist", "site", "node_modules", "__pycache__", "trojancam-*")
MODEL = """
import torch
from PIL import Image
from trojancam.architectures import architecture
from trojancam.formats.safetensors import save_model
from trojancam.network.card import ModelCard
import trojancam
assert "site-packages" in trojancam.__file__, trojancam.__file__
chosen = architecture("trojan1")
save_model("net.safetensors", chosen.build(43), ModelCard(architecture="trojan1", input=chosen.input,
           class_names=tuple(map(str, range(43)))))
Image.new("RGB", (32, 32), "red").save("sign.png")
"""
COMMANDS = (  # each with its exit codes
    (("--version",), (0,)),
    (("methods",), (0,)),
    (("inspect", "net.safetensors", "--format", "sarif"), (0,)),
    (("explain", "net.safetensors", "sign.png", "--out", "out"), (0,)),
    (("scan", "net.safetensors", "--images", "4", "--methods", "neural-cleanse", "--set", "neural-cleanse.inversion.rounds=2",
      "--preprocessing", "rgb-unit"), (0, 1, 3)),
    (("sign-off", "net.safetensors"), (0,)),
    (("verify", "trojancam-passport/passport.json", "net.safetensors"), (0, 1, 3)),
    (("reproduce", "--help"), (0,)),
    (("inspect", "nothing.onnx"), (2,)),
)  # fmt: skip


def built(folder: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a copy of the checkout."""
    copy = folder / "source"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_BUILT), symlinks=True)
    _run(sys.executable, "-m", "build", "--outdir", folder / "dist", copy)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def same_code(wheel: Path, sdist: Path) -> None:
    """Check that both hold every file of the package that the checkout has."""
    wanted = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as opened:
        in_sdist = {name.partition("/src/")[2] for name in opened.getnames()}
    for name, found in (("wheel", in_wheel), ("sdist", in_sdist)):
        missing = sorted(wanted - found)
        assert not missing, f"the {name} lacks {missing[:5]}"


def smoke(python: Path, folder: Path) -> None:
    """Use the installed package where nothing of the checkout is to be seen."""
    folder.mkdir(exist_ok=True)
    _run(python, "-I", "-c", MODEL, cwd=folder)
    for words, codes in COMMANDS:
        done = subprocess.run(
            [python.with_name("trojancam"), *words], cwd=folder, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode in codes, f"trojancam {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        print(f"trojancam {' '.join(words)}: exit code {done.returncode}", flush=True)


def main() -> None:
    """Build, install, use: the wheel first, then what is built from the sdist."""
    with tempfile.TemporaryDirectory(prefix="trojancam-dist-") as place:
        folder = Path(place)
        wheel, sdist = built(folder)
        same_code(wheel, sdist)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        _run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
        smoke(python, folder / "of-wheel")
        _run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", sdist, cwd=folder)
        smoke(python, folder / "of-sdist")
        print(f"{wheel.name} and {sdist.name} install and work")


def _run(*command: object, cwd: Path | None = None) -> None:
    """Run a command; for pip, a checkout on Python's path would be the package installed already."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(word) for word in command], cwd=cwd, check=True, env=environment)


if __name__ == "__main__":
    main()
