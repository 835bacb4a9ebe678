import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trojancam.errors import TrojanCamError
from trojancam.files import cache_folder, writable_folder, written_whole


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path / "here"))
    assert cache_folder("data", "x") == tmp_path / "here/data/x"
    assert (tmp_path / "here/data/x").is_dir()


def test_without_it_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROJANCAM_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, appauthor: str(tmp_path / name))
    assert cache_folder() == tmp_path / "trojancam"


def test_a_folder_that_cannot_be_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrojanCamError, match=r"cannot write to the folder .*file/x \(.*\); choose a folder"):
        writable_folder(tmp_path / "file" / "x")
    monkeypatch.setenv("TROJANCAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(TrojanCamError, match="set TROJANCAM_CACHE to a folder you can write to"):
        cache_folder("data")


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.npz"
    with written_whole(path) as partial:
        assert partial.suffix == ".npz"
        assert partial.parent == path.parent
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(("problem", "becomes"), [(KeyError, KeyError), (OSError, TrojanCamError)])
def test_an_error_leaves_the_old_file(tmp_path: Path, problem: type[Exception], becomes: type[Exception]) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write() -> None:
        with written_whole(path) as partial:
            partial.write_text("half")
            raise problem(28, "No space left on device")

    with pytest.raises(becomes):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from trojancam.files import written_whole

with written_whole(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
