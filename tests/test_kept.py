"""What was kept comes back to the last bit; what is another run's, or damaged anywhere, is never taken for it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trojancam.errors import TrojanCamWarning
from trojancam.kept import Kept, files_kept, keep_files, read_step, write_step


class Work:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return {"numbers": torch.tensor([1 / 3, -0.0]).double(), "flags": torch.tensor([True, False]).expand(2, 2)}


def test_a_step_is_done_once_and_read_after_that(tmp_path: Path) -> None:
    work = Work()
    first = Kept(tmp_path / "steps", "run").step("detector/layer.1", work)
    again = Kept(tmp_path / "steps", "run").step("detector/layer.1", work)
    assert work.times == 1
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_plain_data_is_the_same_made_and_read(tmp_path: Path) -> None:
    def work() -> dict[str, object]:
        return {"rows": [(1, 1 / 3)], "odd": '\udcff"sha256":"', "none": None}

    made = Kept(tmp_path, "run").data("step", work)
    assert made == {"rows": [[1, 1 / 3]], "odd": '\udcff"sha256":"', "none": None}
    assert Kept(tmp_path, "run").data("step", dict) == made


def test_steps_whose_names_differ_are_kept_apart(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "run")
    kept.step("a/b", lambda: {"x": torch.tensor(1)})
    kept.step("a_b", lambda: {"x": torch.tensor(2)})
    read = Kept(tmp_path, "run")
    assert [int(read.step(name, dict)["x"]) for name in ("a/b", "a_b")] == [1, 2]


def test_steps_of_another_run_are_done_again(tmp_path: Path) -> None:
    work = Work()
    for run in ("run", "another", "another", "run"):
        Kept(tmp_path, run).step("step", work)
    assert work.times == 3


def test_nowhere_nothing_is_kept_but_the_time() -> None:
    kept, work = Kept(), Work()
    kept.step("step", work)
    kept.step("step", work)
    assert work.times == 2
    assert kept.timing["step"] >= 0


def test_clearing_removes_the_folder(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "steps", "run")
    kept.step("step", Work())
    kept.clear()
    assert not (tmp_path / "steps").exists()


def test_tensors_that_share_memory_come_back_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    values = {"whole": whole, "same": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}
    write_step(tmp_path / "step", "run", values)
    step = read_step(tmp_path / "step")
    assert step is not None
    assert all(torch.equal(step.tensors[name], value) for name, value in values.items())


def test_every_bit_counts(tmp_path: Path) -> None:
    path = tmp_path / "step"
    write_step(path, "run", {"x": torch.arange(5)}, {"text": "ä", "number": 1.5})
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            with pytest.warns(TrojanCamWarning) as said:
                assert read_step(path) is None
            assert [str(each.message) for each in said] == [f"{path} is damaged; what it held is made again"]


def test_every_length_counts(tmp_path: Path) -> None:
    path = tmp_path / "step"
    write_step(path, "run", {"x": torch.arange(5)})
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.warns(TrojanCamWarning, match="is damaged"):
            assert read_step(path) is None
    path.write_bytes(content + b"\0")
    with pytest.warns(TrojanCamWarning, match="is damaged"):
        assert read_step(path) is None
    path.unlink()
    assert read_step(path) is None  # and nothing is said: nothing was there


def test_a_folder_in_the_place_of_a_step_is_no_step(tmp_path: Path) -> None:
    (tmp_path / "step").mkdir()
    with pytest.warns(TrojanCamWarning, match="is damaged"):
        assert read_step(tmp_path / "step") is None


def test_files_are_kept_by_a_note_that_may_move_with_them(tmp_path: Path) -> None:
    files = [tmp_path / "a/figure.png", tmp_path / "a/b/table.csv"]
    for number, path in enumerate(files):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes([number]))
    keep_files(tmp_path / "a/note.kept", "run", files)
    (tmp_path / "a").rename(tmp_path / "moved")
    note = tmp_path / "moved/note.kept"
    assert files_kept(note, "run")
    assert not files_kept(note, "another")
    (tmp_path / "moved/figure.png").write_bytes(b"x")
    with pytest.warns(TrojanCamWarning, match=r"moved/figure.png is damaged"):
        assert not files_kept(note, "run")
    (tmp_path / "moved/figure.png").unlink()
    assert not files_kept(note, "run")
