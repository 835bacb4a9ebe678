"""A journal gives back what a step left, to the last bit, and does again what is another run's, or damaged."""

from pathlib import Path

import torch

from trojancam.detection.journal import Journal, Values


class Work:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Values:
        self.times += 1
        return {"numbers": torch.tensor([1 / 3, -0.0]).double(), "flags": torch.tensor([True, False]).expand(2, 2)}


def test_a_step_is_done_once_and_read_after_that(tmp_path: Path) -> None:
    work = Work()
    first = Journal(tmp_path / "journal", "run").step("detector/layer.1", work)
    again = Journal(tmp_path / "journal", "run").step("detector/layer.1", work)
    assert work.times == 1
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_steps_whose_names_differ_are_kept_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    journal.step("a/b", lambda: {"x": torch.tensor(1)})
    journal.step("a_b", lambda: {"x": torch.tensor(2)})
    read = Journal(tmp_path, "run")
    assert [int(read.step(name, dict)["x"]) for name in ("a/b", "a_b")] == [1, 2]


def test_another_run_and_damaged_files_are_done_again(tmp_path: Path) -> None:
    work = Work()
    Journal(tmp_path, "run").step("step", work)
    Journal(tmp_path, "another").step("step", work)
    assert work.times == 2
    (file,) = [path for path in tmp_path.iterdir() if path.suffix == ".safetensors"]
    file.write_bytes(file.read_bytes()[:40])
    Journal(tmp_path, "another").step("step", work)
    assert work.times == 3


def test_in_memory_nothing_is_kept_but_the_time() -> None:
    journal, work = Journal(), Work()
    journal.step("step", work)
    journal.step("step", work)
    assert work.times == 2
    assert journal.timing["step"] >= 0


def test_clearing_removes_the_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "run")
    journal.step("step", Work())
    journal.clear()
    assert not (tmp_path / "journal").exists()
