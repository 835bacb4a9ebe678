"""Units of work: the key is of what a result depends on, and of nothing else."""

import shutil
from pathlib import Path

import pytest

from trojancam.errors import DataError, UnknownNameError
from trojancam.fleets.manifest import Entry
from trojancam.fleets.unit import Settings, Unit, Units, data_fingerprint


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    (tmp_path / "net.pt").write_bytes(b"weights")
    (tmp_path / "signs" / "stop").mkdir(parents=True)
    (tmp_path / "signs" / "stop" / "1.png").write_bytes(b"pixels")
    return Entry(path=tmp_path / "net.pt", file="net.pt", architecture="trojan2", data=tmp_path / "signs")


def unit(entry: Entry, **settings: object) -> Unit:
    return Units(Settings(**settings), None, Path.cwd()).of(entry)  # type: ignore[arg-type]


def test_where_files_lie_does_not_matter(entry: Entry, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(entry.data, other / "data")
    shutil.copy(entry.path, other / "copy.pt")
    moved = entry.model_copy(update={"path": other / "copy.pt", "file": "copy.pt", "data": other / "data"})
    assert unit(moved).key == unit(entry).key
    assert unit(moved).folder_name != unit(entry).folder_name


def test_all_else_does(entry: Entry, tmp_path: Path) -> None:
    keys = [unit(entry).key, unit(entry, task="compare").key, unit(entry, seed=1).key, unit(entry, images=8).key]
    keys += [unit(entry, methods=("abs",)).key, unit(entry, changed=("abs.classes=2",)).key]
    keys += [
        unit(entry.model_copy(update={name: "other"})).key
        for name in ("architecture", "key", "output", "preprocessing")
    ]
    (tmp_path / "signs" / "stop" / "1.png").write_bytes(b"other pixels")
    keys.append(unit(entry).key)
    (tmp_path / "signs" / "stop" / "1.png").rename(tmp_path / "signs" / "stop" / "2.png")
    keys.append(unit(entry).key)
    entry.path.write_bytes(b"other weights")
    keys.append(unit(entry).key)
    (tmp_path / "reference.json").write_text("{}")
    keys.append(unit(entry, reference=tmp_path / "reference.json").key)
    (tmp_path / "reference.json").write_text("{ }")
    keys.append(unit(entry, reference=tmp_path / "reference.json").key)
    assert len(set(keys)) == len(keys)


def test_a_unit_survives_json(entry: Entry) -> None:
    found = unit(entry, methods=("abs",), task="scan")
    assert Unit.model_validate_json(found.model_dump_json()).key == found.key


def test_a_name_that_is_none_for_a_folder(entry: Entry, tmp_path: Path) -> None:
    for name in ("..pt", "=cmd|'calc'.pt", "a" * 200 + ".pt", "\udcff.pt"):
        path = tmp_path / "odd" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
        folder = unit(entry.model_copy(update={"path": path})).folder_name
        assert folder.isascii()
        assert len(folder) < 80
        assert not set(folder) & set("/\\=|' ")
        assert not folder.startswith(".")


def test_data_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        data_fingerprint(tmp_path / "nowhere")


def test_a_rendered_data_set_is_named_not_read() -> None:
    assert data_fingerprint(Path("rendered:objects")) == "rendered:objects"
    with pytest.raises(UnknownNameError, match="unknown rendered data set 'rendered:mugs'"):
        data_fingerprint(Path("rendered:mugs"))
