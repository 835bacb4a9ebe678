"""The page of a scan: the verdict and its evidence in words, pictures of strong findings, and numbers that are JSON."""

import inspect
import json
import math
import re
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from tests.detection.planted import CLASSES, TARGET, planted
from tests.detection.smallest_changes import test_smallest_stripes as stripes
from tests.report.test_page import Reader

import trojancam.report.scan_pictures
from trojancam.attacks.patch import Patch
from trojancam.cli import app
from trojancam.cli.options import ModelOptions
from trojancam.detection import DETECTORS, Finding, ScanReport, scan
from trojancam.detection.suspect import halves
from trojancam.detection.track_record import OF_TESTS, own_track_record
from trojancam.detection.words import ANSWERS, WEAKER, place_in_words
from trojancam.report.next_steps import FED, OPENED, OPINIONS, after_repair, in_command, next_steps, second_opinions
from trojancam.report.page import Command, Section, Table
from trojancam.report.scan import write_scan
from trojancam.report.scan_pictures import amplification
from trojancam.report.scan_words import facts, headline, in_words
from trojancam.tasks.scan import Scanned, folded, least, scanned, strong


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.scan_pictures, "DPI", 40)


@cache
def report(trojaned: bool = True, methods: tuple[str, ...] = ("stimulation",)) -> ScanReport:
    seen = planted(trojaned)
    return scan(seen.network, seen.images, seen.labels, methods)


def judged(of: ScanReport, trojaned: bool = True) -> Scanned:
    seen = planted(trojaned)
    return scanned(seen.network, seen.images, seen.labels, of)


def page(scan: Scanned, folder: Path) -> tuple[Reader, dict[str, Any]]:
    path = write_scan(scan, folder, {"model": "<b>planted</b>"})
    assert sorted(each.name for each in folder.iterdir()) == ["scan.html", "scan.json"]
    return Reader(path.read_text(encoding="utf-8")), json.loads((folder / "scan.json").read_text())


def test_a_backdoor_is_shown_and_told(tmp_path: Path) -> None:
    found = judged(report())
    reader, document = page(found, tmp_path)
    assert ("class", "answer alarm") in reader.attributes
    assert ANSWERS["backdoor"] in reader.words
    assert headline(found) in reader.words
    assert "<b>planted</b>" in reader.words
    assert reader.tags.count("figure") == 2 * len(found.cases)
    assert reader.tags.count("dialog") == 1
    for title, value, words in facts(found, found.cases[0].finding, found.cases[0].validation):
        assert all(part in reader.words for part in (title, value, words))
    assert "What this scan could not see" in reader.words
    assert document["verdict"] == "backdoor"
    assert document["fingerprint"] == found.network.fingerprint
    assert document["findings"] == json.loads(json.dumps(report().to_json()))["findings"]
    assert [each["finding"] for each in document["validations"]] == [case.number for case in found.cases]
    assert document["validations"][0]["agreement"] == found.cases[0].validation.agreement


def test_the_page_says_what_was_searched_and_what_was_not(tmp_path: Path) -> None:
    reader, document = page(judged(report()), tmp_path)
    assert "What was searched" in reader.words
    (searched,) = document["coverage"]["searched"]
    assert all(part in reader.words for part in ("patch, moving-patch", "every-class", searched["where"]))
    for each in document["coverage"]["not_searched"]:
        assert each["what"] in reader.words
        assert each["why"] in reader.words
    for words in document["judgement"]["in_words"]:
        assert words in reader.words
    assert "confidence" not in reader.words.lower()


def test_a_network_that_is_not_judged_says_why(tmp_path: Path) -> None:
    seen = planted(True)
    labels = (seen.labels + 1) % CLASSES
    found = scanned(seen.network, seen.images, labels, scan(seen.network, seen.images, labels, "stimulation"))
    reader, document = page(found, tmp_path)
    assert ("class", "answer doubt") in reader.attributes
    assert document["judgement"]["reason"] in reader.words
    assert "proves nothing" in reader.words
    assert next(iter(in_words(found))).startswith("NOT JUDGED")


def test_the_terminal_gets_class_place_maps_and_evidence() -> None:
    lines = list(in_words(judged(report())))
    finding = report().findings[0]
    assert lines[0].startswith("EVIDENCE OF A BACKDOOR (score ")
    assert f"Stimulation maps: class {TARGET}, class {TARGET}" in lines
    assert any(line.startswith("  place: top right, row 1, column 10 of 12x12") for line in lines)
    assert f"  REASR: {finding.reasr:.0%} " in "\n".join(lines)
    assert lines[-1].startswith("time: ")


def test_an_example_is_of_another_class_and_turned() -> None:
    (case, *_) = judged(report()).cases
    assert case.label != TARGET
    assert case.finding.trigger is not None
    net = planted(True).network
    assert int(net(case.image[None]).argmax()) == case.label
    assert int(net(case.finding.trigger.apply(case.image[None])).argmax()) == TARGET


def test_where_nothing_was_found_nothing_is_drawn(tmp_path: Path) -> None:
    score = 0.5 * least(report(), "stimulation")
    weak = tuple(replace(finding, score=score / (number + 1)) for number, finding in enumerate(report().findings))
    found = judged(replace(report(), verdict="nothing found", score=score, findings=weak))
    reader, document = page(found, tmp_path)
    assert ("class", "answer calm") in reader.attributes
    assert "img" not in reader.tags
    assert "strongest suspicion" in reader.words
    assert document["validations"] == []


def test_an_inconclusive_finding_is_drawn_and_doubted(tmp_path: Path) -> None:
    first = replace(report().findings[0], score=least(report(), "stimulation"))
    found = judged(replace(report(), verdict="inconclusive", score=first.score, findings=(first,)))
    reader, _ = page(found, tmp_path)
    assert ("class", "answer doubt") in reader.attributes
    assert "img" in reader.tags
    assert "Scan again with more images" in reader.words


def test_findings_of_other_methods_are_judged_by_their_own_thresholds(tmp_path: Path) -> None:
    both = report(methods=("abs", "neural-cleanse"))
    assert {finding.detector for _, finding in strong(both)} <= {"abs", "neural-cleanse"}
    found = judged(both)
    reader, _ = page(found, tmp_path)
    assert "What each method says" in reader.words
    assert "Neural Cleanse" in reader.words
    assert "img" in reader.tags
    assert any(line.startswith("Neural Cleanse says: ") for line in in_words(found))


def test_the_paragraph_below_the_verdict_ends_with_what_to_do(tmp_path: Path) -> None:
    """What methods say by themselves stands in a table further down: it was longer than the verdict."""
    found = judged(report(methods=("stimulation", "abs")))
    found = replace(found, report=replace(found.report, remarks=("A remark.",)))
    path = write_scan(found, tmp_path, {})
    text = path.read_text(encoding="utf-8")
    (paragraph,) = re.findall(r'<p class="verdict">(.*?)</p>', text)
    assert paragraph.endswith("Do not use it as it is.")
    assert "A remark." in "".join(re.findall(r'<p class="weighed">(.*?)</p>', text))
    says = text[text.index("<h2>What each method says</h2>") :]
    rows = re.findall("<tr><td.*?</tr>", says[: says.index("</table>")])
    assert len(rows) == 2
    assert "no: a second opinion" in rows[1]


@pytest.mark.parametrize("verdict", ["backdoor", "inconclusive"])
def test_a_weaker_finding_may_be_a_by_product_and_maps_are_compromised_only_by_a_backdoor(
    verdict: Any, tmp_path: Path
) -> None:
    first = report().findings[0]
    assert isinstance(first.trigger, Patch)
    other = replace(
        first, target_class=(TARGET + 1) % CLASSES, trigger=first.trigger.moved(6, -6), score=first.score / 1.1
    )
    opinions = {name: replace(each, verdict=verdict) for name, each in report().opinions.items()}
    several = judged(replace(report(), verdict=verdict, findings=(first, other), opinions=opinions))
    assert len(several.cases) == 2
    reader, _ = page(several, tmp_path)
    assert WEAKER in reader.words
    assert WEAKER in list(in_words(several))
    assert ("Compromised feature maps" in reader.words) == (verdict == "backdoor")
    assert ("Feature maps that the scan names" in reader.words) == (verdict == "inconclusive")
    assert WEAKER not in list(in_words(judged(report())))


def test_the_page_tells_how_often_clean_networks_are_left_inconclusive(tmp_path: Path) -> None:
    known = own_track_record()
    assert known.doubts is not None
    usual = replace(report(), coverage=replace(report().coverage, track_record=known))
    reader, document = page(judged(usual), tmp_path)
    assert known.doubts.in_words() in reader.words
    assert OF_TESTS in reader.words
    assert document["coverage"]["track_record"]["doubts"] == known.doubts.model_dump()


def test_a_weaker_finding_of_the_same_place_or_class_is_folded_into_the_stronger(tmp_path: Path) -> None:
    first = report().findings[0]
    assert isinstance(first.trigger, Patch)
    place = replace(first, target_class=(TARGET + 1) % CLASSES, score=first.score / 1.2)
    other = replace(first, detector="abs", score=100.0, trigger=first.trigger.moved(5, 5), position=(6.0, 5.0))
    elsewhere = replace(place, trigger=first.trigger.moved(6, -6), score=first.score / 1.3)
    both = replace(report(), findings=(first, place, elsewhere), settings=report().settings)
    assert folded(both) == {0: (1,), 2: ()}
    assert folded(replace(both, findings=(first, other))) == {0: (1,)}
    found = judged(both)
    assert [(case.number, case.also) for case in found.cases] == [(0, (1,)), (2, ())]
    reader, document = page(found, tmp_path)
    assert f"no findings of their own: \N{LEFT DOUBLE QUOTATION MARK}class {TARGET + 1}" in reader.words
    assert [each["finding"] for each in document["validations"]] == [0, 2]


SAID_OF_A_NETWORK = {  # each option that says how a network is opened and fed, by its parameter
    "architecture": "nets:build",
    "key": "model/ema",
    "output": "logits",
    "preprocessing": "rgb-symmetric",
    "crop": "roi",
    "size": "48",
    "class_names": "my names.txt",
    "device": "cuda",
}


@pytest.mark.parametrize("verdict", ANSWERS)
def test_every_verdict_says_what_to_do_next(verdict: Any) -> None:
    told = {f"--{name.replace('_', '-')}": value for name, value in SAID_OF_A_NETWORK.items()}
    given = [
        "trojancam",
        "scan",
        "my net.onnx",
        "--data",
        "my signs",
        *(word for each in told.items() for word in each),
    ]
    section = next_steps(replace(report(), verdict=verdict), {"command": shlex.join([*given, "--images", "100"])})
    (table,) = section.parts
    assert isinstance(table, Table)
    steps = [(str(words), command) for words, command in table.rows if isinstance(command, Command)]
    assert steps
    for said, command in steps:
        for placeholder in (piece for piece, replaced in command.pieces if replaced):
            assert f"For {placeholder} put " in said, command
        words = shlex.split(str(command))
        chosen = typer.main.get_command(app).commands[words[1]]
        context = chosen.make_context(words[1], [], resilient_parsing=True)
        parsed, *_ = chosen.make_parser(context).parse_args(words[2:])
        known = {name for parameter in chosen.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command
        assert {name: parsed[name] for name in SAID_OF_A_NETWORK} == SAID_OF_A_NETWORK, command


def test_the_steps_carry_every_option_of_how_a_network_is_opened_and_fed() -> None:
    assert SAID_OF_A_NETWORK.keys() == inspect.signature(ModelOptions).parameters.keys()
    assert {*OPENED, *FED} == {f"--{name.replace('_', '-')}" for name in SAID_OF_A_NETWORK}


def test_a_report_without_findings(tmp_path: Path) -> None:
    found = judged(ScanReport("nothing found", 0.0, 8.0, (), {}, {}, planted(True).network.class_names))
    reader, document = page(found, tmp_path)
    assert "Nothing was found" in reader.words
    assert document["findings"] == []


def test_rates_that_nobody_could_measure_become_null(tmp_path: Path) -> None:
    unknown = Finding("stimulation", 1, 0.1, reasr=math.nan, evidence={"mask_l1": math.inf})
    found = judged(ScanReport("nothing found", 0.1, 8.0, (unknown,), {}, {}, planted(True).network.class_names))
    _, document = page(found, tmp_path)
    assert document["findings"][0]["reasr"] is None
    assert document["findings"][0]["evidence"]["mask_l1"] is None


def test_a_trigger_that_changes_nothing_cannot_be_drawn(tmp_path: Path) -> None:
    """A network that gives all images one class needs none."""
    first = report().findings[0]
    assert first.trigger is not None
    empty = replace(first, trigger=replace(first.trigger, mask=torch.zeros(12, 12)))
    found = judged(replace(report(), findings=(empty,)))
    assert found.cases == ()
    reader, _ = page(found, tmp_path)
    assert headline(found) in reader.words


def test_no_example_of_another_class() -> None:
    seen = planted(True)
    found = scanned(seen.network, seen.images, torch.full((36,), TARGET), report())
    assert TARGET not in [case.finding.target_class for case in found.cases]


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(0.0, 0.0, "top left"), (0.0, 15.0, "top"), (31.0, 31.0, "bottom right"), (31.9, 5.0, "bottom left")],
)
def test_places_in_words(row: float, column: float, words: str) -> None:
    assert place_in_words((row, column), (32, 32)) == words


@cache
def striped() -> Scanned:
    seen, (images, labels) = stripes.network(stripes.planted((3.0, -2.0))), stripes.pictures()
    return scanned(seen, images, labels, scan(seen, images, labels, "stripes"))


def test_a_change_of_the_whole_image_is_shown_on_three_images_and_by_its_difference(tmp_path: Path) -> None:
    found = striped()
    (case, *_) = found.cases
    assert case.finding.trigger is not None
    assert len(case.examples) == 3
    classes = [int(each.logits.argmax()) for each in case.examples]
    assert len(set(classes)) == 3
    assert stripes.TARGET not in classes
    for each in case.examples:
        assert int(each.logits_changed.argmax()) == stripes.TARGET
        torch.testing.assert_close(each.changed, case.finding.trigger.apply(each.image[None])[0])
        torch.testing.assert_close(each.logits, found.network(each.image[None])[0], rtol=1e-4, atol=1e-4)
    assert case.examples[0].image.equal(case.image)
    reader, _ = page(found, tmp_path)
    assert "the difference, amplified" in reader.words
    assert "in the pixels that it changes most" in reader.words
    assert "grown by one cell" not in reader.words


def test_a_patch_has_no_such_examples_and_a_chance_below_certainty() -> None:
    (case, *_) = judged(report()).cases
    assert case.examples == ()
    assert all(view.chance < 1 for view in case.validation.layers)


@pytest.mark.parametrize(("change", "times"), [(0.08, 6.0), (0.5, 1.0), (0.9, 1.0), (0.0, 500.0)])
def test_a_difference_is_amplified_as_far_as_it_fits(change: float, times: float) -> None:
    assert amplification(torch.full((2, 3, 4, 4), -change)) == times


def test_a_finding_with_a_map_of_classes_shows_from_which_class_to_which(tmp_path: Path) -> None:
    seen, first = planted(True), report().findings[0]
    matrix = torch.rand(CLASSES, CLASSES, generator=torch.Generator().manual_seed(0)).tolist()
    mapped = replace(first, class_map=((0, TARGET), (1, TARGET)), class_matrix=tuple(tuple(row) for row in matrix))
    found = judged(replace(report(), findings=(mapped,)))
    sent = found.cases[0].sent
    assert sent is not None
    assert first.trigger is not None
    held_out = halves(seen)[1]
    answers = seen.network(first.trigger.apply(held_out.images)).argmax(1)
    for own in range(CLASSES):
        these = answers[held_out.labels == own]
        for to in range(CLASSES):
            assert float(sent[own, to]) == pytest.approx(float((these == to).double().mean()))
    reader, document = page(found, tmp_path)
    assert "Share of held-out images of each class (rows)" in reader.words
    assert f"From class to class, by {DETECTORS[first.detector].title}" in reader.words
    assert reader.tags.count("figure") == 4
    assert document["findings"][0]["class_matrix"] == matrix
    assert judged(report()).cases[0].sent is None


def test_a_network_of_which_no_file_is_known_has_a_placeholder() -> None:
    section = next_steps(report(), {})
    assert section.text.startswith("For MODEL put ")
    (table,) = section.parts
    assert isinstance(table, Table)
    commands = [command for _, command in table.rows if isinstance(command, Command)]
    assert all(("MODEL", True) in command.pieces for command in commands)


@pytest.mark.parametrize("name", DETECTORS)
def test_second_opinions_are_those_that_look_for_what_was_found(name: str) -> None:
    first = replace(report().findings[0], detector=name, trigger=None)
    told = second_opinions(replace(report(), verdict="inconclusive", findings=(first,)))
    for other, each in DETECTORS.items():
        fits = {*each.families} & {*DETECTORS[name].families} and "every-class" in each.victims
        assert (other in told) == bool(each.second_opinion and fits), other


def test_second_opinions_are_asked_for_only_where_there_are_some() -> None:
    every = tuple(name for name, each in DETECTORS.items() if each.second_opinion)
    patch = replace(report(), verdict="inconclusive")
    assert second_opinions(patch) == [name for name in every if "patch" in DETECTORS[name].families]
    assert second_opinions(replace(patch, opinions=dict.fromkeys(every, report().opinions["stimulation"]))) == []
    assert second_opinions(replace(patch, verdict="nothing found")) == [*every]
    striped_too = replace(striped().report, verdict="inconclusive")
    assert second_opinions(striped_too) == []
    (table,) = next_steps(striped_too, {}).parts
    assert isinstance(table, Table)
    assert OPINIONS not in [words for words, _ in table.rows]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (None, "scan.json"),
        ("", "trojancam-scan/scan.json"),
        (" --out a/b", "a/b/scan.json"),
        (" --out='my scan'", "'my scan/scan.json'"),
    ],
)
def test_the_repair_that_a_page_names_finds_the_scan_where_it_was_written(given: str | None, written: str) -> None:
    command = {} if given is None else {"command": f"trojancam scan net.pt{given}"}  # other pages lie beside their file
    words = in_command("repair {model} --scan {scan}", report(), command)
    assert words == f"trojancam repair {'net.pt' if command else 'MODEL'} --scan {written}"


def test_the_steps_after_a_repair_are_commands_for_the_file_that_it_wrote() -> None:
    told = "--architecture nets:build --size 48 --device cpu --data 'my signs'"
    given = {"command": f"trojancam repair net.pth --out 'my fixed.pth' {told} --scan out/scan.json"}
    again = "--architecture nets:build --size 48"
    assert commands(after_repair(True, given)) == [
        f"trojancam scan 'my fixed.pth' --data 'my signs' {again} --out scan-repaired",
        "trojancam sign-off 'my fixed.pth' --scan scan-repaired",
        f"trojancam sift 'my fixed.pth' IMAGES --data 'my signs' {again}",
    ]
    program = {"command": given["command"].replace("my fixed.pth", "fixed.pt2")}
    assert commands(after_repair(True, program))[0] == (
        "trojancam scan fixed.pt2 --data 'my signs' --size 48 --out scan-repaired"
    )
    assert commands(after_repair(False, given)) == [
        f"trojancam repair net.pth --data 'my signs' --scan out/scan.json --method METHOD {again} --out second.pth",
        f"trojancam cleanse net.pth TRAINING-IMAGES {again}",
    ]
    for repaired in (True, False):
        for command in commands(after_repair(repaired, given)):
            words = shlex.split(command)
            chosen = typer.main.get_command(app).commands[words[1]]
            known = {name for parameter in chosen.params for name in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, command
    unknown = after_repair(True, {})
    assert "For REPAIRED put the file that the repair wrote." in unknown.text
    assert "MODEL" not in unknown.text
    assert all("REPAIRED" in command for command in commands(unknown))
    assert after_repair(False, {}).text == "For MODEL put the file of the network."


def commands(section: Section) -> list[str]:
    (table,) = section.parts
    assert isinstance(table, Table)
    return [str(command) for _, command in table.rows if command]
