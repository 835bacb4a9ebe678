"""Passports: bound to the very bytes of a model and its data files, by the layout of in-toto, and all of it on a page."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest
from tests.formats import hostile_onnx
from tests.report.test_page import Reader
from tests.report.test_scan_page import judged, report

import trojancam as tc
import trojancam.report.scan_pictures
from trojancam.errors import DataError, ModelError
from trojancam.report.documents.describing import json_schema
from trojancam.report.documents.sign_off import read_passport
from trojancam.report.provenance import file_facts
from trojancam.report.scan import LIMITS, write_scan


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.scan_pictures, "DPI", 40)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A model whose weights lie in a file of their own."""
    path = tmp_path / "net.onnx"
    onnx.save_model(hostile_onnx.network(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").stat().st_size
    return path


def signed(model: Path, trojaned: bool = True) -> Any:
    scan = model.parent / "scan"
    facts = {**file_facts(model), "data": "signs", "images": 36, "images_sha256": "a" * 64}
    write_scan(judged(report(trojaned), trojaned), scan, facts)
    return tc.sign_off(model, scan, model.parent / "passport")


def test_a_passport_fits_the_published_schema_and_a_changed_one_does_not(split: Path) -> None:
    record, schema = json.loads(signed(split).file.read_text()), json_schema()
    jsonschema.validate(record, schema)
    predicate, (subject, *others) = record["predicate"], record["subject"]
    unlike: list[dict[str, Any]] = [
        {"surprise": 1},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": [{**subject, "digest": {"sha256": "A" * 64}}, *others]},
        {"predicate": {**predicate, "verdict": "clean"}},
        {"predicate": {name: value for name, value in predicate.items() if name != "not_covered"}},
    ]
    for wrong in unlike:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record | wrong, schema)


def test_a_passport_is_an_in_toto_statement_of_the_file_and_its_data(split: Path) -> None:
    found = signed(split)
    record = json.loads(found.file.read_text())
    assert set(record) == {"_type", "subject", "predicateType", "predicate"}
    assert record["_type"] == "https://in-toto.io/Statement/v1"
    digests = {name: file_facts(split.parent / name)["model_sha256"] for name in ("net.onnx", "net.data")}
    assert record["subject"] == [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]
    told, scanned = record["predicate"], json.loads((split.parent / "scan" / "scan.json").read_text())
    for name in ("verdict", "score", "settings", "class_names", "fingerprint", "options"):
        assert told[name] == scanned[name]
    assert told["covered"] == scanned["coverage"]["searched"]
    assert told["not_covered"] == scanned["coverage"]["not_searched"]
    assert told["data"] == {"source": "signs", "images": 36, "sha256": "a" * 64}
    assert told["scan_sha256"] == file_facts(split.parent / "scan" / "scan.json")["model_sha256"]
    assert len(told["findings"]) == 1
    assert read_passport(found.file).predicate == found.passport.predicate


def test_the_page_has_digests_coverage_and_a_place_to_sign(split: Path) -> None:
    found = signed(split)
    page = Reader(found.page.read_text(encoding="utf-8"))
    told = found.passport.predicate
    digest = file_facts(found.file)["model_sha256"]
    wanted = [digest, *(each.digest.sha256 for each in found.passport.subject), *told.findings, told.data.sha256]
    wanted += [words for pair in LIMITS for words in pair] + [each.what for each in told.not_covered]
    assert [words for words in wanted if words not in page.words] == []
    for line in ("Name", "Date", "Signature", "Rejected", "Evidence of a backdoor"):
        assert line in page.words


def test_the_same_file_is_the_same_by_whatever_name(split: Path, tmp_path: Path) -> None:
    found = signed(split)
    assert tc.verify(found.file, split).same
    renamed = split.rename(tmp_path / "other.onnx")
    told = tc.verify(found.file, renamed)
    assert told.same
    assert any("its name was net.onnx" in line for line in told.in_words())


@pytest.mark.parametrize("name", ["net.onnx", "net.data"])
def test_one_byte_makes_it_another_file(split: Path, name: str) -> None:
    found = signed(split, trojaned=False)
    assert tc.verify(found.file, split).exit_code == 0
    content = (split.parent / name).read_bytes()
    if name == "net.data":
        content = bytes([content[0] ^ 1]) + content[1:]
    else:  # the name of its data file, which has a copy
        content = content.replace(b"net.data", b"net.dat2")
        (split.parent / "net.dat2").write_bytes((split.parent / "net.data").read_bytes())
    (split.parent / name).write_bytes(content)
    told = tc.verify(found.file, split)
    assert (told.same, told.exit_code) == (False, 1)
    assert any("SHA-256" in each for each in told.differences)
    if name == "net.onnx":
        assert any("takes the data file 'net.dat2'" in each for each in told.differences)
        assert any("does not take the data file 'net.data'" in each for each in told.differences)


def test_the_verdict_counts_where_the_file_is_the_same(split: Path) -> None:
    assert tc.verify(signed(split).file, split).exit_code == 1
    assert tc.verify(signed(split, trojaned=False).file, split).exit_code == 0


def test_a_scan_of_another_file_is_not_signed_off(split: Path, tmp_path: Path) -> None:
    found = signed(split)
    other = hostile_onnx.written(tmp_path / "scan", hostile_onnx.network())
    with pytest.raises(DataError, match="is one of another file"):
        tc.sign_off(other, tmp_path / "scan", tmp_path / "out")
    with pytest.raises(DataError, match="or make one with 'trojancam scan'"):
        tc.sign_off(split, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="is not what 'trojancam scan' writes"):
        tc.sign_off(split, found.file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_outside_of_the_folder_and_no_passports_are_refused(split: Path, tmp_path: Path) -> None:
    found = signed(split)
    with pytest.raises(ModelError, match="outside the model's folder"):
        tc.verify(found.file, hostile_onnx.outside("../secret")(tmp_path / "scan"))
    for content in ("{}", "[]", "no JSON", found.file.read_text().replace("Statement/v1", "Statement/v0.1")):
        (tmp_path / "wrong.json").write_text(content)
        with pytest.raises(DataError, match="is not what 'trojancam sign-off' writes"):
            tc.verify(tmp_path / "wrong.json", split)
    with pytest.raises(DataError, match="check the path"):
        tc.verify(tmp_path / "nowhere.json", split)
