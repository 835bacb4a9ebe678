"""Progress: by itself a bar in a notebook, and nothing elsewhere; the time left comes of what was done while one watched."""

import sys
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from tests.detection.planted import planted
from tests.nets import network

from trojancam import progress
from trojancam.detection import scan
from trojancam.evaluation.comparison import compare
from trojancam.progress import NotebookBar, Pace, shown, silent


class Notebook:
    """A kernel's IPython, as far as a bar asks it: outputs, and what each was updated to."""

    def __init__(self) -> None:
        self.outputs: list[list[str]] = []

    def display(self, shown: Any, display_id: bool) -> Any:
        assert display_id
        output = [shown]
        self.outputs.append(output)
        return SimpleNamespace(update=output.append)

    def modules(self, kernel: object = "kernel") -> dict[str, ModuleType]:
        whole, part = ModuleType("IPython"), ModuleType("IPython.display")
        whole.get_ipython = lambda: SimpleNamespace(kernel=kernel)  # type: ignore[attr-defined]
        part.display, part.HTML = self.display, str  # type: ignore[attr-defined]
        return {"IPython": whole, "IPython.display": part}


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    found = Notebook()
    for name, module in found.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_what_was_given_is_taken(notebook: Notebook) -> None:
    assert shown(silent) is silent
    assert isinstance(shown(None), NotebookBar)


def test_elsewhere_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert shown(None) is silent
    for name, module in Notebook().modules(kernel=None).items():  # IPython in a terminal
        monkeypatch.setitem(sys.modules, name, module)
    assert shown(None) is silent


def test_the_time_left_is_that_of_what_was_done_since(clock: SimpleNamespace) -> None:
    pace = Pace()
    assert pace.seconds_left(40, 100) is None  # done before: it took no time
    clock.seconds += 10
    assert pace.seconds_left(60, 100) == pytest.approx(20)
    assert pace.seconds_left(100, 100) is None
    assert pace.seconds_left(0, 50) is None  # another piece of work begins
    clock.seconds += 5
    assert pace.seconds_left(1, 50) == pytest.approx(245)


def test_one_slow_step_does_not_multiply_the_time_left(clock: SimpleNamespace) -> None:
    """Of a repair's trial: one step of a hundred took two minutes, and most of those to come a few seconds."""
    pace, told = Pace(), []
    for done, seconds in ((41, 0), (42, 4), (43, 120), (44, 4), (80, 144), (99, 76)):
        clock.seconds += seconds
        told.append((clock.seconds, pace.seconds_left(done, 100)))
    (_, first), second, third, fourth, fifth, last = told
    assert first is None
    assert second[1] == pytest.approx(4 * 58)
    assert third[1] == pytest.approx(4 * 58 + progress.CREEP * 120)  # a step like that for all to come would be an hour
    known = [(when, left) for when, left in (second, third, fourth, fifth, last) if left is not None]
    for (before, earlier), (now, later) in pairwise(known):
        assert later <= earlier + progress.CREEP * (now - before) + 1e-6
    assert last[1] == pytest.approx(348 / 58)


def test_steps_that_were_kept_and_took_no_time_do_not_bind_what_comes(clock: SimpleNamespace) -> None:
    pace = Pace()
    pace.seconds_left(0, 100)
    clock.seconds += 0.1
    assert pace.seconds_left(10, 100) == pytest.approx(0.9)
    clock.seconds += 100
    assert pace.seconds_left(11, 100) == pytest.approx(100.1 / 11 * 89)


def test_what_is_quicker_than_thought_is_told_at_once(clock: SimpleNamespace) -> None:
    pace = Pace()
    pace.seconds_left(0, 100)
    clock.seconds += 60
    assert pace.seconds_left(1, 100) == pytest.approx(99 * 60)
    clock.seconds += 1
    assert pace.seconds_left(61, 100) == pytest.approx(39)


def test_a_bar_draws_itself_anew_in_its_place_and_not_too_often(notebook: Notebook, clock: SimpleNamespace) -> None:
    bar = NotebookBar()
    for done in range(11):
        bar(done, 10, f"<b>{done}</b>")
        clock.seconds += 0.09
    (drawn,) = notebook.outputs
    assert len(drawn) == 5  # 0, 3, 6, 9, and the end
    assert drawn[0] == '<progress value="0" max="10"></progress> 0/10, &lt;b&gt;0&lt;/b&gt;'
    assert drawn[2] == '<progress value="6" max="10"></progress> 6/10, 0 s left, &lt;b&gt;6&lt;/b&gt;'
    assert drawn[-1] == '<progress value="10" max="10"></progress> 10/10, &lt;b&gt;10&lt;/b&gt;'


def test_long_work_shows_one_bar_by_itself(notebook: Notebook) -> None:
    suspect = planted(True)
    settings = {"stimulation": {"rounds": 2, "candidates": 1}}
    scan(suspect.network, suspect.images, suspect.labels, "stimulation", settings=settings)
    compare(network("plain")[1], torch.rand(2, 3, 12, 12), ["random"], faithfulness=["road"])
    assert [output[-1].split(",")[0] for output in notebook.outputs] == [
        '<progress value="1000" max="1000"></progress> 1000/1000',
        '<progress value="2" max="2"></progress> 2/2',
    ]
