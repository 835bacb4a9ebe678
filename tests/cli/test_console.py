"""What all commands share: progress with and without a terminal, names that are no markup, help that comes at once."""

import io
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result
from rich.console import Console

import trojancam
from trojancam import progress as pace
from trojancam.cli import console as shared
from trojancam.cli.console import list_broken, progress_bar, say
from trojancam.text import printable

HOSTILE = "a/[/red]:car: \x1b[31m\n.png"
SHOWN = r"a/[/red]:car: \x1b[31m\n.png"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 70 columns instead of the real one."""
    stream = io.StringIO()
    monkeypatch.setattr(shared, "console", Console(file=stream, force_terminal=True, width=70, highlight=False))
    return stream


class Clock:
    """Time that passes when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (shared, pace):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_name_is_no_markup_and_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    list_broken((HOSTILE,))
    assert capsys.readouterr() == (SHOWN + "\n", f"left out: {SHOWN}\n")


def test_letters_of_all_languages_are_printable() -> None:
    assert printable("Überholverbot 标志 50 %") == "Überholverbot 标志 50 %"


def test_a_bar_shows_the_whole_note_as_it_is(terminal: io.StringIO) -> None:
    words = "epoch 12: loss 0.123, clean accuracy 0.987, attack success 0.999"
    with progress_bar("trojan2") as progress:
        progress(1, 4, HOSTILE)
        progress(4, 4, words)
    shown = terminal.getvalue()
    assert words in shown
    assert "100%" in shown
    assert "\x1b[31m\n" not in shown


def test_a_bar_tells_the_time_left(terminal: io.StringIO) -> None:
    with progress_bar("trojan2") as progress:
        for done in (0, 1, 2):
            progress(done, 4)
    assert re.search(r"0:00:0\d.* gone 0:00:00 left", terminal.getvalue())


def test_a_bar_can_start_again_for_a_second_task(terminal: io.StringIO) -> None:
    with progress_bar("demo") as progress:
        progress(10, 10, "basic")
        progress(5, 10, "trojan2")
    assert " 50%" in "".join(terminal.getvalue().splitlines()[-3:])


def test_lines_tell_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("basic") as progress:
        for done in (0, 100, 200, 400):
            progress(done, 400, f"at {done}")
            clock.now += 10
    assert capsys.readouterr().out.splitlines() == [
        "basic: 0/400, at 0",
        "basic: 100/400, 30 s left, at 100",
        "basic: 200/400, 20 s left, at 200",
        "basic: 400/400, at 400",
    ]


def test_what_a_resumed_run_finds_done_does_not_count_as_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("basic") as progress:
        clock.now += 1000  # reading the checkpoint
        progress(300, 400, "at 300")
        clock.now += 10
        progress(350, 400, "at 350")
    assert capsys.readouterr().out.splitlines() == ["basic: 300/400, at 300", "basic: 350/400, 10 s left, at 350"]


def test_the_time_left_starts_anew_with_a_second_task(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("demo") as progress:
        progress(0, 10, "basic 0")
        clock.now += 1000
        progress(10, 10, "basic 10")
        progress(0, 10, "trojan2 0")
        clock.now += 10
        progress(5, 10, "trojan2 5")
    assert capsys.readouterr().out.splitlines()[-1] == "demo: 5/10, 10 s left, trojan2 5"


def test_there_is_no_line_for_a_note_that_is_not_new_or_comes_at_once(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("basic") as progress:
        progress(0, 9, "same")
        clock.now += 10
        progress(1, 9, "same")
        progress(2, 9, "new")
        progress(3, 9, "newer, too soon")
    assert capsys.readouterr().out.splitlines() == ["basic: 0/9, same", "basic: 2/9, 35 s left, new"]


MISSING: dict[str, list[list[str]]] = {
    "there is no model file missing.pt that can be read": [
        ["inspect", "missing.pt"], ["inspect", "missing.pt", "--json"], ["explain", "missing.pt"], ["compare", "missing.pt"],
        ["scan", "missing.pt"], ["explore", "missing.pt"], ["calibrate", "missing.pt"],
        ["train", "trojan2", "--out", "m.safetensors", "--parent", "missing.pt"], ["stimulate", "missing.pt", "--layer", "conv"],
    ],
    "there is no file missing.json; give --": [
        ["scan", __file__, "--reference", "missing.json"], ["scan", __file__, "--class-names", "missing.json"],
        ["repair", __file__, "--out", "m.pt2", "--scan", "missing.json"],
        ["stimulate", __file__, "--stimulation", "missing.json"], ["explain", __file__, "--preprocessing", "missing.json"],
        ["sign-off", __file__, "--scan", "missing.json"],
    ],
    "there is no file missing.json; give PASSPORT a file that is there": [["verify", "missing.json", __file__]],
    "missing is missing; give image files or folders that are there": [
        ["sift", __file__, "missing"], ["sift", __file__, "missing", "missing/too.png"], ["explain", __file__, "missing"],
    ],
    "missing is missing; give a folder of training images": [["cleanse", __file__, "missing"]],
    "missing is missing; give a manifest (.csv, .jsonl), a folder": [["fleet", "missing"]],
}  # fmt: skip


@pytest.mark.parametrize("sentence", MISSING)
def test_what_is_missing_is_refused_before_anything_large_is_imported(sentence: str) -> None:
    """Half a second, where torch alone takes seconds; what is counted is what was imported."""
    program = (
        "import sys\nfrom trojancam.cli import app\n"
        f"for words in {MISSING[sentence]!r}:\n"
        "    try:\n        app(words)\n"
        "    except SystemExit as ended:\n        assert ended.code == 2, words\n"
        "assert not {'torch', 'matplotlib', 'numpy', 'PIL', 'onnx', 'keras'} & set(sys.modules)\n"
        "assert len(sys.modules) < 500\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.count(f"error: {sentence}") == len(MISSING[sentence])


def test_help_and_version_do_not_wait_for_torch() -> None:
    program = (
        "import sys\nfrom trojancam.cli import app\n"
        "for words in (['--help'], ['--version'], ['train', '--help']):\n"
        "    app(words, standalone_mode=False)\n"
        "assert not {'torch', 'matplotlib', 'numpy'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"trojancam {trojancam.__version__}" in result.stdout
    assert result.stderr == ""


def test_the_table_of_networks(run: Callable[..., Result]) -> None:
    result = run("models")
    assert result.exit_code == 0
    for words in ("107,147", "516,139", "1,264,727", "conv2d_6", "12x12"):
        assert words in result.output


@pytest.mark.parametrize("words", [("tarin",), ("train",), ("explain",), ("demo", "--epochs", "many")])
def test_slips_of_the_pen_end_with_exit_code_2(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
