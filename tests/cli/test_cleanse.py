"""`trojancam cleanse`: the list is the library's, a cleaned copy has all other files, and bad input writes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from trojancam.data.folders import folder
from trojancam.opening.open import load
from trojancam.tasks.cleanse import cleanse

Run = Callable[..., Result]
Refused = Callable[..., str]
METHODS = "spectral-signatures,loss-order"


def test_it_lists_what_the_library_finds_and_copies_the_rest(
    run: Run, model: Path, signs: Path, tmp_path: Path
) -> None:
    train, options = signs / "train", ["--methods", METHODS, "--share", 0.1]
    done = run("cleanse", model, train, *options, "--out", "cleaned")
    network = load(model)
    images = folder(train, size=(32, 32), class_names=network.class_names)
    found = cleanse(network, images, METHODS.split(","), share=0.1)
    listed = [json.loads(line) for line in (tmp_path / "suspicious.jsonl").read_text(encoding="utf-8").splitlines()]
    own = {name for name, left in zip(found.names, found.suspicious.tolist(), strict=True) if left}
    assert {line["file"] for line in listed} == own
    assert len(own) == 9  # 1.5 times a tenth of twenty, of three classes
    scores = [line["scores"]["spectral-signatures"] for line in listed]
    assert scores == sorted(scores, reverse=True)
    copied = {str(file.relative_to(tmp_path / "cleaned")) for file in (tmp_path / "cleaned").rglob("*.png")}
    assert copied == set(found.names) - own
    assert all((tmp_path / "cleaned" / name).read_bytes() == (train / name).read_bytes() for name in copied)
    assert done.exit_code == 1
    assert f"{len(copied)} images copied to cleaned" in done.stdout
    assert len(repr(found).splitlines()) == 5


def test_bad_input_ends_in_one_sentence(refused: Refused, model: Path, signs: Path, tmp_path: Path) -> None:
    train = signs / "train"
    assert "compares with clean images" in refused("cleanse", model, train, "--methods", "contributions")
    assert "unknown cleansing method" in refused("cleanse", model, train, "--methods", "spectral")
    assert "between 0 and 1" in refused("cleanse", model, train, "--share", 2)
    (tmp_path / "there").mkdir()
    assert "is there already" in refused("cleanse", model, train, "--out", "there")
    assert "class" in refused("cleanse", model, train / "stop")
