"""What a release is made of agrees: versions, pins, the hook, the container, and every command that the pages name."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import typer
import yaml
from packaging.requirements import Requirement
from tests.formats.hostile_left_alone import OTHERS
from typer.testing import CliRunner

from trojancam.cli import app
from trojancam.cli.anywhere import taken
from trojancam.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = ("docs/pipelines.md", "docs/configuration.md", "examples/github-actions.yml")
FILES = ("model.onnx", "model.safetensors", "weights.pt", "trojancam-passport/passport.json", "trojancam.toml")


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines)}


def commands() -> list[str]:
    """The commands of this program on the pages, without what a shell does with their output."""
    found = []
    for page in PAGES:
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            match = re.match(r"(?:\s*run: |\s*- run: )?(trojancam .*)", line)
            if match:
                found.append(re.split(r" >|\s+#", match[1])[0].strip())
    return found


def test_the_version_comes_from_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_what_is_pinned_is_what_is_asked_for() -> None:
    asked = [Requirement(each) for each in PROJECT["dependencies"]]
    found = pins()
    assert found["torch"] == "2.13.0"
    assert {each.name.lower().replace("_", "-") for each in asked} <= found.keys()
    extras = [Requirement(each) for group in PROJECT["optional-dependencies"].values() for each in group]
    for each in asked + extras:
        version = found.get(each.name.lower().replace("_", "-"))
        assert version is None or each.specifier.contains(version), each


def test_the_pages_have_commands_of_every_kind() -> None:
    assert {"scan", "inspect", "sift", "sign-off", "verify"} <= {command.split()[1] for command in commands()}


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_of_the_pages_is_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    for folder in ("images", "incoming", "trojancam-scan"):
        Path(folder).mkdir()
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    with group.make_context(
        "trojancam", words, resilient_parsing="--install-completion" in words or "--show-completion" in words
    ):
        if words[0].startswith("--"):
            return
        with typer.Context(group, info_name="trojancam") as context:
            _, rest = taken(words)
            group.get_command(context, rest[0]).make_context(rest[0], rest[1:], parent=context)  # type: ignore[attr-defined]


def test_the_hook_is_a_command_that_fails_for_code_inside(tmp_path: Path) -> None:
    """As pre-commit runs it: the files at the end. A file of weights alone passes, whatever it is for."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    good = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(3, device="cpu")}, good)
    bad = OTHERS["code in the sample inputs of a .pt2"](tmp_path, tmp_path / "canary")
    program, *words = shlex.split(hook["entry"])
    assert program in PROJECT["scripts"]
    for files, code in (([good], 0), ([good, bad], 1)):
        assert all(re.search(hook["files"], str(each)) for each in files)
        done = CliRunner().invoke(app, [*words, *map(str, files)])
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    assert not (tmp_path / "canary").exists()


def test_the_hook_is_of_the_form_that_pre_commit_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def _docker() -> str:
    """Why docker cannot be used, if so."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else "no docker daemon answers"


def test_the_container_looks_at_a_model_without_network_and_on_a_read_only_system(tmp_path: Path) -> None:
    if reason := _docker():
        pytest.skip(reason)
    subprocess.run(["docker", "build", "--quiet", "--tag", "trojancam-test", str(ROOT)], check=True)
    model = OTHERS["code in the sample inputs of a .pt2"](tmp_path, tmp_path / "canary")
    words = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--volume",
        f"{tmp_path}:/work:ro",
    ]
    done = subprocess.run(
        [*words, "trojancam-test", "inspect", model.name, "--strict"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr


CLOSED = (
    "mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp && "
    "exec setpriv --reuid 65534 --regid 65534 --clear-groups"
)


def test_without_root_network_and_a_disk_to_write_to_a_network_is_explained(tmp_path: Path) -> None:
    """What the container promises, by the system's own means where these are allowed."""
    setting = ["unshare", "--mount", "--net", "sh", "-c", f"{CLOSED} true"]
    if shutil.which("setpriv") is None or subprocess.run(setting, capture_output=True, check=False).returncode != 0:
        pytest.skip("a namespace with a read-only file system cannot be made here")
    program = (
        "import os, sys; os.environ['HOME'] = '/tmp'; os.environ['TROJANCAM_CACHE'] = '/tmp/cache'; os.chdir('/tmp');"
        "from trojancam.architectures import architecture; from trojancam.formats.safetensors import save_model;"
        "from trojancam.network.card import ModelCard; a = architecture('trojan1');"
        "card = ModelCard(architecture='trojan1', input=a.input, class_names=('a', 'b', 'c'));"
        "save_model('/tmp/n.safetensors', a.build(3), card);"
        "from PIL import Image; Image.new('RGB', (32, 32), 'red').save('/tmp/s.png');"
        "sys.argv[1:] = ['explain', '/tmp/n.safetensors', '/tmp/s.png', '--out', '/tmp/out'];"
        "from trojancam.__main__ import main; main()"
    )
    running = f"{CLOSED} {shlex.quote(sys.executable)} -B -c {shlex.quote(program)}"
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", running], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "/tmp/out" in done.stdout
