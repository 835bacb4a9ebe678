"""Defaults from files and variables: who wins, what is refused, and that a file beside a model can do no harm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from trojancam.cli import app, configuration
from trojancam.cli.anywhere import options, taken
from trojancam.cli.configuration import HARMLESS, defaults
from trojancam.errors import TrojanCamError

Refused = Callable[..., str]
KNOWN = {
    "scan": dict.fromkeys(("images", "format", "methods", "out", "set")),
    "sign-off": dict.fromkeys(("scan", "out")),
}


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TROJANCAM_CONFIG", "TROJANCAM_QUIET", "TROJANCAM_FORMAT"):
        monkeypatch.delenv(name, raising=False)


def test_what_a_file_in_the_current_folder_may_set_is_used_and_announced(run: Run, model: Path) -> None:
    Path("trojancam.toml").write_text('format = "json"\n')
    told = run("inspect", model)
    assert json.loads(told.stdout)["format"] == "safetensors"
    assert "configuration: trojancam.toml sets --format json" in told.stderr
    assert run("inspect", model, "--no-config").stdout.startswith(str(model))
    overruled = run("inspect", model, "--format", "text")
    assert overruled.stdout.startswith(str(model))
    assert "configuration:" not in overruled.stderr


def test_pyproject_does_the_same_where_it_is_meant_for_us(run: Run, model: Path) -> None:
    Path("pyproject.toml").write_text("[tool.other]\nimages = 3\n")
    assert run("inspect", model).stderr == ""
    Path("pyproject.toml").write_text('[tool.trojancam.inspect]\nformat = "markdown"\n')
    told = run("inspect", model)
    assert told.stdout.startswith("## trojancam inspect")
    assert "pyproject.toml sets --format markdown" in told.stderr


@pytest.mark.parametrize(
    "text",
    [
        'architecture = "evil:build"',
        'out = "/tmp/elsewhere"',
        'data = "poisoned"',
        '[scan]\nmethods = "abs"',
        '[scan]\nbudget = "1"',
        '[scan]\nreference = "theirs.json"',
        '[explore]\nhost = "0.0.0.0"',
        "debug = true",
    ],
)
def test_a_file_beside_a_model_can_do_no_harm(refused: Refused, text: str) -> None:
    """It sets nothing that runs code, says what is read or written, or makes a verdict milder."""
    Path("trojancam.toml").write_text(text)
    told = refused("models")
    assert "which only a configuration that you name may set; give --config trojancam.toml if it is yours" in told
    assert run_config_named(text)


def run_config_named(text: str) -> bool:
    """Whether the same file is taken where the user names it."""
    import typer

    group = typer.main.get_command(app)
    known = {name: options(command.params) for name, command in group.commands.items()}  # type: ignore[attr-defined]
    found = defaults(known, Path("trojancam.toml"))
    return any(found.commands.values()) or bool(found.common)


def test_harmless_options_are_these_and_no_others() -> None:
    """Whoever adds one has to think what a file from a stranger could do with it."""
    assert HARMLESS == ("format", "quiet", "verbose")


def test_the_stronger_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own.toml").write_text('out = "everywhere"\nquiet = true\n[scan]\nimages = 5\nset = ["a.b=1", "c.d=2"]\n')
    found = defaults(KNOWN, Path("own.toml"))
    assert {name: each.value for name, each in found.commands["scan"].items()} == {
        "out": "everywhere",
        "images": 5,
        "set": ["a.b=1", "c.d=2"],
    }
    assert found.commands["sign-off"]["out"].origin == "own.toml"
    assert found.common["quiet"].value is True
    monkeypatch.setenv("TROJANCAM_OUT", "by-variable")
    monkeypatch.setenv("TROJANCAM_SIGN_OFF_OUT", "of-one-command")
    monkeypatch.setenv("TROJANCAM_CONFIG", "own.toml")
    found = defaults(KNOWN, None)
    assert found.commands["scan"]["out"].value == "by-variable"
    assert found.commands["sign-off"]["out"].value == "of-one-command"
    assert found.commands["scan"]["images"].value == 5
    assert defaults(KNOWN, None, use_files=False).commands["scan"].keys() == {"out"}


def test_values_reach_the_command_and_its_line_on_the_page(
    run: Run, model: Path, signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.toml").write_text(f'[inspect]\ndata = "{signs}"\nimages = 8\nstrict = true\n')
    told = run("inspect", model, "--config", "own.toml")
    assert "Tried on 8 images" in told.stdout
    assert "--images 8" in told.stderr
    monkeypatch.setenv("TROJANCAM_INSPECT_IMAGES", "6")
    assert "Tried on 6 images" in run("inspect", "--config=own.toml", model).stdout
    assert "Tried on 7 images" in run("inspect", model, "--images", 7, "--config", "own.toml").stdout
    monkeypatch.setenv("TROJANCAM_INSPECT_IMAGES", "many")
    wrong = run("inspect", model)
    assert wrong.exit_code == 2
    assert "configuration: TROJANCAM_INSPECT_IMAGES sets --images many" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imges = 5", "unknown option 'imges' (did you mean 'images'?)"),
        ("[scna]\nimages = 5", "unknown command 'scna' (did you mean 'scan'?)"),
        ("[scan]\nimges = 5", "unknown option 'scan.imges' (did you mean 'scan.images'?)"),
        ("images = 1979-05-27", "is no text, number, truth value or list"),
        ("images = ", "own.toml is no TOML"),
        ("quiet = 7", "is 7, which is neither true nor false"),
        ("#" * (1 << 21), "too large for a configuration file"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_sentence(text: str, words: str) -> None:
    Path("own.toml").write_text(text)
    with pytest.raises(TrojanCamError) as told:
        defaults(KNOWN, Path("own.toml"))
    assert words in str(told.value)
    assert "\n" not in str(told.value).replace("\\n", "")


def test_other_places_are_refused_too(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no configuration file nowhere.toml" in refused("models", "--config", "nowhere.toml")
    assert "names no file" in refused("models", "--config")
    Path("pyproject.toml").write_text("[tool.other]\n")
    assert "has no table [tool.trojancam]" in refused("models", "--config", "pyproject.toml")
    monkeypatch.setenv("TROJANCAM_SCAN_IMGES", "5")
    assert "did you mean 'TROJANCAM_SCAN_IMAGES'?" in refused("models")


def test_options_that_may_stand_anywhere_do(run: Run, model: Path) -> None:
    assert taken(["--quiet", "a", "--config", "f", "--", "--debug"])[1] == ["a", "--", "--debug"]
    for words in (("--quiet", "inspect", model), ("inspect", model, "--quiet")):
        told = run(*words)
        assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")
    told = run("inspect", model, "--verbose")
    assert told.stderr.startswith("verbose: TrojanCAM ")
    assert "MiB of memory" in told.stderr
    assert run("inspect", model, "--quiet", "--json").stdout.startswith("{")
    assert run("inspect", model).stdout.startswith(str(model))  # the next one is not quiet


def test_help_and_version_come_whatever_is_configured(run: Run) -> None:
    Path("trojancam.toml").write_text("nonsense = [")
    for words in (("--help",), ("--version",), ("scan", "--help")):
        assert run(*words).exit_code == 0
    assert configuration.truth("on", "quiet")
