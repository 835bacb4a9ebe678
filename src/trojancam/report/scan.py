"""Reporting a scan: one page and one JSON file, with the verdict, the evidence with its thresholds, pictures and limits."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from trojancam.detection.findings import ScanReport
from trojancam.detection.judgement import Opinion, Verdict
from trojancam.detection.scanning import DETECTORS
from trojancam.detection.track_record import OF_TESTS, TrackRecord
from trojancam.detection.validation import LayerView, MapView, Validation
from trojancam.detection.words import ANSWERS, maps_in_words, place_in_words, share
from trojancam.report.documents import scan as document
from trojancam.report.next_steps import next_steps
from trojancam.report.page import Page, Part, Section, Table, in_plain_words, write_page
from trojancam.report.scan_pictures import example_numbers, feature_map_grid, led_matrix, sent_matrix, sheet
from trojancam.report.scan_words import case_in_words, facts, folded_in_words, headline, weighed
from trojancam.stimulation import Stimulation
from trojancam.tasks.scan import Case, Scanned, least, opinion_of

PAGE = "scan.html"
TONES: dict[Verdict, Literal["calm", "doubt", "alarm"]] = {
    "backdoor": "alarm",
    "inconclusive": "doubt",
    "nothing found": "calm",
    "not judged": "doubt",
}
LIMITS = (
    (
        "A trigger that works on few images",
        "A trigger that needs a second one beside it does not turn three images of four.",
    ),
    (
        "What clean images do not hint at",
        "Feature maps are driven no further than clean images drive them; a trigger may go beyond.",
    ),
    (
        "Shortcuts that nobody planted",
        "A small natural feature that always goes with a class looks the same as a trigger.",
    ),
)
"""What no scan can see, whichever methods are used, in words."""


def write_scan(scan: Scanned, out: Path, settings: Mapping[str, Any]) -> Path:
    """Write `scan.html` and `scan.json` into the folder, each whole or not at all; the path of the page.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    report = scan.report
    page = Page(
        title=f"Scan of {settings.get('model', scan.network.name)}",
        verdict=headline(scan),
        sections=list(_sections(scan, settings)),
        details=_details(scan, settings),
        answer=ANSWERS[report.verdict],
        tone=TONES[report.verdict],
        weighed=" ".join(weighed(scan)),
    )
    return write_page(page, documented(scan, settings), out, PAGE)


def _sections(scan: Scanned, options: Mapping[str, Any]) -> Iterator[Section]:
    if scan.cases:
        text = "A scan does not know the true trigger. It recovers one from the network and clean images alone."
        yield Section("What it looks like", text)
    for case in scan.cases:
        yield _case_section(scan, case)
    yield next_steps(scan.report, options)
    yield _opinions_section(scan.report)
    yield _classes_section(scan)
    yield from _matrix_sections(scan.report)
    yield _coverage_section(scan.report)
    table = Table(["Limit", "What it means"], LIMITS, words=(0, 1))
    yield Section("What this scan could not see", "“Nothing found” is no proof that there is no backdoor.", [table])


def _case_section(scan: Scanned, case: Case) -> Section:
    network, validation = scan.network, case.validation
    evidence = Table(["Evidence", "Value", "What it is"], facts(scan, case.finding, validation), words=(0, 2))
    matrix = sent_matrix(network, case)
    parts: list[Part] = [sheet(network, case), *([matrix] if matrix else []), evidence]
    if validation.flagged:
        parts += [_maps_table(scan, case), feature_map_grid(network, case)]
    parts.append(_layers_table(case))
    name = scan.report.class_names[case.finding.target_class]
    words = " ".join(filter(None, [case_in_words(case, network.input.size), folded_in_words(scan, case)]))
    return Section(f"“{name}”, by {DETECTORS[case.finding.detector].title}", words, parts)


def _maps_table(scan: Scanned, case: Case) -> Table:
    validation = case.validation
    views = (*validation.flagged, *validation.neighbours)
    count = scan.network.layer(views[0].layer).feature_maps
    rows = [_map_row(view, count) for view in views]
    named = "Compromised feature maps" if scan.report.verdict == "backdoor" else "Feature maps that the scan names"
    caption = (
        f"{named}, each stimulated by itself, on {validation.images} clean images of other classes: "
        f"{_dose_alone(case.finding.stimulation)}. Energy is the share of the map's own Grad-CAM in the recovered trigger; "
        "neighbours are maps that the scan does not name and that show the trigger more strongly than those it does."
    )
    headings = ["Layer", "Feature map", "Stimulation ASR", "Prediction value (logit)", "Probability", "Energy", "Rank"]
    return Table(headings, rows, caption, sortable=True)


def _dose_alone(stimulation: Stimulation | None) -> str:
    """How far a feature map is driven by itself; see `MapView`."""
    if stimulation is None or stimulation.differs_by_map:
        return "to its own largest activation on these, no further"
    return "at the strength of the finding's stimulation"


def _map_row(view: MapView, count: int) -> list[str]:
    number = f"{view.feature_map}{'' if view.flagged else ' (neighbour)'}"
    return [view.layer, number, share(view.stimulation_asr), f"{view.prediction_value:.2f}", f"{view.probability:.3f}",
            f"{view.energy:.1%}", f"{view.rank} of {count}"]  # fmt: skip


def _layers_table(case: Case) -> Table:
    validation = case.validation
    region = "the pixels that it changes most" if case.examples else "the trigger, grown by one cell"
    headings = ["Layer", "Energy in the trigger", "Points at it", "Chance", "Blank", "With the mask", "With the place",
                "Agreement"]  # fmt: skip
    rows = [_layer_row(validation, view) for view in validation.layers]
    caption = (
        f"Grad-CAM of each layer on {validation.images} images with the recovered trigger on: share of the energy in "
        f"{region}, and share of images whose maximum lies there; correlation with the recovered mask and the stimulated place."
    )
    return Table(headings, rows, caption, sortable=True)


def _layer_row(validation: Validation, view: LayerView) -> list[str]:
    numbers = (view.with_mask, view.with_place, validation.agreement_at(view.layer))
    shares = (view.energy, view.pointing, view.chance, view.blank)
    return [view.layer, *map(share, shares), *("–" if value is None else f"{value:.2f}" for value in numbers)]


def _classes_section(scan: Scanned) -> Section:
    report, size = scan.report, scan.network.input.size
    rows = []
    for finding in report.findings:
        mask = finding.evidence.get("mask_l1")
        rows.append([
            report.class_names[finding.target_class], f"{finding.score:.3g}", "–" if mask is None else f"{mask:.3g}",
            share(finding.reasr), share(finding.stimulation_asr), share(finding.ablation_asr),
            "–" if finding.moves is None else "yes" if finding.moves else "no",
            place_in_words(finding.position, size) if finding.position else "–",
            maps_in_words(finding.layer, finding.feature_maps),
            DETECTORS[finding.detector].title,
        ])  # fmt: skip
    headings = ["Class", "Score", "Mask, pixels", "REASR", "Stimulation ASR", "Ablation ASR", "Works elsewhere", "Place",
                "Feature maps", "Method"]  # fmt: skip
    bounds = "; ".join(
        f"{DETECTORS[name].title} ({DETECTORS[name].source}): a backdoor from {opinion_of(report, name).threshold:.3g}, "
        f"inconclusive from {least(report, name):.3g}"
        for name in report.opinions
    )
    text = (
        f"The classes that stood out most. Scores are the method's own. {bounds}. Rates leave out images of the class."
    )
    table = Table(headings, rows, words=(0, 7, 8, 9), sortable=True)
    return Section("Classes, strongest first", text, [table] if rows else [])


def _matrix_sections(report: ScanReport) -> Iterator[Section]:
    """What methods say that compare all classes with each other."""
    for finding in report.findings:
        if finding.class_matrix:
            text = "A class that many others lead to stands out as a column, one that a few lead to as single cells."
            picture = led_matrix(finding, report.class_names)
            yield Section(f"From class to class, by {DETECTORS[finding.detector].title}", text, [picture])


def _opinions_section(report: ScanReport) -> Section:
    """What each method says by itself, the strongest first."""
    headings = ["Method", "Says", "Score", "Backdoor from", "p", "Clean networks", "Decides"]
    rows = [
        [
            DETECTORS[name].title,
            opinion.verdict,
            *_weight(opinion),
            "yes" if opinion.decides else "no: a second opinion",
        ]
        for name, opinion in report.opinions.items()
    ]
    text = (
        "p is a p-value: the share of clean reference networks that score as high, this one counted with them. Methods that "
        "are second opinions do not decide. In pictures, p is another number: the probability that the network gives a class."
    )
    table = Table(headings, rows, words=(0, 1, 6), sortable=True)
    return Section("What each method says", text, [table] if rows else [])


def _coverage_section(report: ScanReport) -> Section:
    """What was searched, and what was not."""
    searched = [
        [
            DETECTORS[each.method].title,
            ", ".join(each.families) or "not told",
            ", ".join(each.victims),
            each.where or "not told",
        ]
        for each in report.coverage.searched
    ]
    headings = ["Method", "Families of triggers", "Victims", "Where"]
    parts = [Table(headings, searched, words=(0, 1, 2, 3))]
    if report.coverage.not_searched:
        missing = [[each.what, each.why] for each in report.coverage.not_searched]
        parts.append(Table(["Not searched", "Why"], missing, words=(0, 1)))
    parts += _track_record_table(report.coverage.track_record)
    return Section("What was searched", "Second opinions do not count here, as they do not decide.", parts)


def _track_record_table(record: TrackRecord | None) -> list[Table]:
    """How often such scans were right about test networks."""
    if record is None or not record.found:
        return []
    rows = [[kind, counted.in_words()] for kind, counted in record.found.items()]
    headings = ["Test networks with this backdoor", "Found by such a scan, with the right class (95 % interval)"]
    rows.append(["none: called backdoored all the same", record.alarms.in_words()])
    rows += [["none: inconclusive all the same", record.doubts.in_words()]] if record.doubts else []
    return [Table(headings, rows, OF_TESTS, words=(0,))]


def _weight(opinion: Opinion) -> list[str]:
    p = "–" if opinion.p is None else f"{opinion.p:.3g}"
    return [f"{opinion.score:.3g}", f"{opinion.threshold:.3g}", p, str(opinion.references)]


def _details(scan: Scanned, options: Mapping[str, Any]) -> dict[str, str]:
    report = scan.report
    details = in_plain_words(options)
    details["fingerprint"] = scan.network.fingerprint
    for name, settings in report.settings.items():
        details[f"settings, {name}"] = ", ".join(f"{key} {value}" for key, value in in_plain_words(settings).items())
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in report.timing.items())
    return details | {"time": f"{sum(report.timing.values()):.0f} s: {steps}"}


def documented(scan: Scanned, settings: Mapping[str, Any]) -> document.Scan:
    """All numbers of a scan, as they are written."""
    validations = [{"finding": case.number} | case.validation.to_json() for case in scan.cases]
    examples = [{"finding": case.number} | example_numbers(case) for case in scan.cases]
    return document.Scan.of(
        command="scan",
        options=settings,
        fingerprint=scan.network.fingerprint,
        **scan.report.to_json(),
        validations=validations,
        examples=examples,
    )
