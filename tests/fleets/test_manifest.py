"""Manifests: tables, JSON lines, folders and patterns give the same entries; what cannot be understood is said by its line."""

import json
import re
from pathlib import Path

import pytest

from trojancam.errors import DataError
from trojancam.fleets.manifest import COLUMNS, Entry, part, read_manifest


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("b.pt", "a.onnx", "below/c.PT2", "below/notes.txt", ".hidden.h5"):
        path = tmp_path / "shelf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "shelf"


def test_a_folder_is_all_model_files_in_it_and_below(shelf: Path) -> None:
    found = read_manifest(shelf)
    assert [entry.file for entry in found] == [".hidden.h5", "a.onnx", "b.pt", "below/c.PT2"]
    assert all(entry.path == shelf / entry.file for entry in found)


def test_a_pattern_and_a_list_name_files(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf.parent)
    assert [entry.file for entry in read_manifest("shelf/**/*.*[t2]")] == ["shelf/b.pt", "shelf/below/c.PT2"]
    assert [entry.path for entry in read_manifest([Path("shelf/b.pt"), "nowhere.pt"])] == [
        shelf / "b.pt", shelf.parent / "nowhere.pt",
    ]  # fmt: skip
    assert [entry.file for entry in read_manifest("shelf/b.pt")] == ["b.pt"]


def test_a_table_and_lines_of_json_say_the_same(shelf: Path, tmp_path: Path) -> None:
    rows = [
        {"path": "shelf/b.pt", "architecture": "trojan2", "key": "ema", "data": "signs", "preprocessing": "own.json"},
        {
            "path": str(shelf / "a.onnx"),
            "output": "logits",
            "preprocessing": "rgb-symmetric",
            "data": "rendered:objects",
        },
    ]
    (tmp_path / "m.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    lines = [",".join(row.get(name, "") for name in COLUMNS) for row in rows]
    (tmp_path / "m.csv").write_text("\n".join([",".join(COLUMNS), *lines]), encoding="utf-8-sig")
    found = read_manifest(tmp_path / "m.csv")
    assert found == read_manifest(tmp_path / "m.jsonl")
    assert found[0] == Entry(
        path=tmp_path / "shelf/b.pt", file="shelf/b.pt", architecture="trojan2", key="ema", data=tmp_path / "signs",
        preprocessing=str(tmp_path / "own.json"),
    )  # fmt: skip
    assert found[1].file == "shelf/a.onnx"
    assert (found[1].output, found[1].preprocessing) == ("logits", "rgb-symmetric")
    assert found[1].data == Path("rendered:objects")  # a name, which has no place


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "path,achitecture\na.pt,b\n", "line 1: unknown column 'achitecture' (did you mean 'architecture'?)"),
        ("m.csv", "architecture\ntrojan2\n", "line 1: there is no column path"),
        ("m.csv", "path,data\na.pt,b\n,c\n", "line 3: the path of the model is missing"),
        ("m.csv", "path\na.pt,b\n", "line 2: there are more cells than the 1 columns"),
        ("m.csv", 'path\n"a.pt"b\n', "it is no CSV"),
        ("m.csv", "path\n", "there is no model"),
        ("m.jsonl", "[1]\n", "line 1: it is no JSON object"),
        ("m.jsonl", '{"path": "a.pt"}\n{"path": 3}\n', "line 2: path: "),
        ("m.jsonl", "[" * 100_000, "line 1: it is no JSON object"),
    ],
)
def test_what_cannot_be_understood_is_told_by_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as told:
        read_manifest(tmp_path / name)
    assert said in str(told.value)
    assert name in str(told.value)


def test_what_of_the_images_a_network_sees(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,crop\na.pt,roi\nb.pt,\n")
    assert [entry.crop for entry in read_manifest(tmp_path / "m.csv")] == ["roi", None]
    (tmp_path / "m.csv").write_text("path,crop\na.pt,sign\n")
    with pytest.raises(DataError, match="line 2: crop: input should be 'whole' or 'roi'"):
        read_manifest(tmp_path / "m.csv")


def test_size_and_class_names_of_a_row(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("stop\nyield\n")
    (tmp_path / "m.csv").write_text("path,size,class_names\na.pt,32x48,names.txt\nb.pt,,\n")
    first, second = read_manifest(tmp_path / "m.csv")
    assert (first.size, first.class_names) == ((32, 48), ("stop", "yield"))
    assert (second.size, second.class_names) == (None, None)
    (tmp_path / "m.jsonl").write_text('{"path": "a.pt", "size": 32, "class_names": ["stop", "yield"]}')
    assert read_manifest(tmp_path / "m.jsonl")[0].model_copy(update={"size": (32, 48)}) == first
    (tmp_path / "m.jsonl").write_text('{"path": "a.pt", "size": [32, 48]}')
    assert read_manifest(tmp_path / "m.jsonl")[0].size == (32, 48)
    (tmp_path / "m.jsonl").write_text('{"path": "a.pt", "class_names": ["stop", null]}')
    with pytest.raises(DataError, match="line 1: class_names: every name must be a text"):
        read_manifest(tmp_path / "m.jsonl")
    for column, cell, said in (
        ("size", "big", "line 2: size takes height"),
        ("class_names", "no.txt", "no.txt (No such"),
    ):
        (tmp_path / "m.csv").write_text(f"path,{column}\na.pt,{cell}\n")
        with pytest.raises(DataError, match=re.escape(said)) as told:
            read_manifest(tmp_path / "m.csv")
        assert "line 2" in str(told.value)


def test_what_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path\n\xff\xfe\n")
    for given, said in [
        (tmp_path / "m.csv", "is not UTF-8 text"),
        (tmp_path / "nowhere", "is missing"),
        (tmp_path / "nowhere.csv", "cannot read"),
        (tmp_path / "*.pt", "there is no model"),
        (tmp_path, "there is no model"),
    ]:
        with pytest.raises(DataError, match=said):
            read_manifest(given)
    with pytest.raises(DataError, match="there is no model in the list"):
        read_manifest([])


@pytest.mark.parametrize("count", [1, 3, 7, 20])
def test_shards_are_all_rows_once_and_about_as_many(count: int) -> None:
    entries = [Entry(path=Path(str(number))) for number in range(10)]
    parts = [part(entries, (number, count)) for number in range(1, count + 1)]
    assert sorted(place for each in parts for place, _ in each) == list(range(10))
    assert all(entry is entries[place] for each in parts for place, entry in each)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert part(entries, f"1/{count}") == parts[0]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/-1"])
def test_a_shard_that_is_none_is_refused(shard: str) -> None:
    with pytest.raises(DataError, match="a shard is a number from 1"):
        part([], shard)
