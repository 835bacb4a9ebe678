"""Outcomes of commands, made from what they write: the document of a scan or a sifting, or what an inspection found."""

from collections.abc import Iterator
from pathlib import Path

from trojancam.detection.findings import Finding
from trojancam.detection.words import ANSWERS, WEAKER, share
from trojancam.faults import EVIDENCE, INCONCLUSIVE, MENDABLE, NOTHING_FOUND, SCAN_CODES
from trojancam.network.bypasses import BRANCHES
from trojancam.report.documents.scan import Scan
from trojancam.report.documents.sift import Sift, SiftedImage
from trojancam.report.machines import rules
from trojancam.report.machines.outcome import Check, Detail, Outcome, State
from trojancam.tasks.inspect import Inspected
from trojancam.text import as_text, printable

SHOWN = 5  # findings of a scan, the strongest


def of_scan(document: Scan, model: Path) -> Outcome:
    """A scan: one check for the verdict, with each finding that it rests on; one that was skipped for what was not searched."""
    verdict, judgement = document.verdict, document.judgement
    rule, state = SCAN_STATES[verdict]
    found = tuple(_finding(document, each, place) for place, each in enumerate(deciding(document)))
    words = (
        judgement.reason
        or f"{ANSWERS[verdict]}: score {document.score:.3g}, a backdoor from {document.threshold:.3g} on."
    )
    searched = [
        Check(f"search for {each.what}", rules.BACKDOOR, "skipped", each.why) for each in document.coverage.not_searched
    ]
    return Outcome(
        "scan",
        as_text(model),
        ANSWERS[verdict],
        (Check("verdict", rule, state, words, found), *searched),
        document.to_json(),
        document.options.get("model_sha256"),
        (*judgement.in_words(), *document.coverage.in_words()[:1], *document.remarks),
        sum(document.timing.values()),
        SCAN_CODES[verdict],
    )


SCAN_STATES: dict[str, tuple[rules.Rule, State]] = {
    "nothing found": (rules.BACKDOOR, "passed"),
    "backdoor": (rules.BACKDOOR, "failed"),
    "inconclusive": (rules.INCONCLUSIVE, "undecided"),
    "not judged": (rules.NOT_JUDGED, "undecided"),
}


def deciding(document: Scan) -> list[Finding]:
    """The findings that the verdict rests on: those of methods that say as much."""
    if document.verdict not in ("backdoor", "inconclusive"):
        return []
    opinions = document.opinions
    said = {name for name, each in opinions.items() if each.decides and each.verdict == document.verdict}
    least = {name: opinions[name].threshold for name in said if document.verdict == "backdoor"}
    found = [
        each for each in document.findings if each.detector in said and each.score >= least.get(each.detector, 0.0)
    ]
    return found[:SHOWN]


def _finding(document: Scan, finding: Finding, place: int) -> Detail:
    """A finding as a result of its own; of a weaker one the message says that it may be none."""
    properties = {
        "method": finding.detector,
        "class": finding.target_class,
        "score": finding.score,
        "position": None if finding.position is None else list(finding.position),
        "layer": finding.layer,
        "featureMaps": list(finding.feature_maps),
        "reasr": finding.reasr,
    }
    weaker = f" {WEAKER}" if place else ""
    return Detail(f"{in_sentences(finding, tuple(document.class_names))}{weaker}", finding.layer or "", properties)


def in_sentences(finding: Finding, class_names: tuple[str, ...]) -> str:
    """A finding as a message: class, place, feature maps, evidence, method."""
    name, place, maps, evidence = finding.in_words(class_names)
    told = f"Images are sent to class {name}. Place: {place}. Feature maps: {maps}. Evidence: {evidence}."
    return f"{told} Found by {finding.detector}."


def of_sift(document: Sift, model: Path, exit_code: int) -> Outcome:
    """A sifting: one check for each image, and one for each file that could not be read."""
    first = next(iter(document.methods))
    read = [_image(document, first, each) for each in document.images]
    unread = [
        Check(name, rules.UNREADABLE_IMAGE, "undecided", reason or "it could not be read", file=name)
        for name, _, reason in (line.partition(": ") for line in document.left_out)
    ]
    found, total = document.suspicious, len(document.images)
    notes = (
        f"Clean images are called suspicious at a rate of {share(document.false_alarms)}, by {document.clean_images} of them.",
    )
    return Outcome(
        "sift",
        as_text(model),
        f"{found} of {total} images suspicious" if found else "Nothing suspicious",
        (*read, *unread),
        document.to_json(),
        document.settings.get("model_sha256"),
        notes,
        document.seconds,
        exit_code,
    )


def _image(document: Sift, method: str, image: SiftedImage) -> Check:
    found = image.methods[method]
    words = f"Read as {image.predicted_name}; p = {found.p_value:.3g} by {document.methods[method].title}."
    if image.cleaned is not None and image.cleaned.share:
        words += f" With {share(image.cleaned.share)} of it filled in, it is read as {image.cleaned.predicted_name}."
    state: State = "failed" if image.suspicious else "passed"
    return Check(image.file, rules.SUSPICIOUS_IMAGE, state, words, file=image.file)


def of_inspection(found: Inspected, refused: str | None = None, *, strict: bool = False) -> Outcome:
    """An inspection: does the file open, does it run or reach for anything, is the network built as others are?

    `refused` is the sentence for the user; with `strict` a finding is worth exit code 1, and a doubt 3.
    """
    checks = tuple(_inspected(found, refused))
    states = {check.state for check in checks}
    code = EVIDENCE if "failed" in states else INCONCLUSIVE if "undecided" in states else NOTHING_FOUND
    verdict = {EVIDENCE: "Findings", INCONCLUSIVE: "Not all is known", NOTHING_FOUND: "Nothing found"}[code]
    code = MENDABLE if refused is not None else code if strict else NOTHING_FOUND
    document = found.to_json() | ({} if refused is None else {"refused": refused})
    said = tuple(f"The file says: {name}: {printable(text)}" for name, text in found.outside.origin.items())
    return Outcome("inspect", as_text(found.file), verdict, checks, document, found.sha256, said, exit_code=code)


def _inspected(found: Inspected, refused: str | None) -> Iterator[Check]:
    outside, opened = found.outside, found.network is not None
    if refused is not None and opened:
        yield Check("feeding", rules.FEEDING, "undecided", refused)
    elif refused is not None:
        yield Check("opens", rules.REFUSED, "undecided", refused)
    elif opened:
        yield Check("opens", rules.REFUSED, "passed", "")
    else:
        yield Check("opens", rules.REFUSED, "skipped", "it was looked at from outside")
    doubt = " ".join(f"It could not be searched as a whole: {each}." for each in outside.problems)
    yield _careless("runs nothing", rules.RUNS_CODE, "Loaded carelessly, it would run", outside.would_run, doubt)
    reached = tuple(each for each in outside.would_reach if not _ordinary(each))
    yield _careless("reaches for nothing", rules.REACHES_OUT, "Loaded carelessly, it would reach for", reached, doubt)
    branches = tuple(Detail(note) for note in (found.network.notes if found.network else ()) if BRANCHES in note)
    if opened:
        state: State = "failed" if branches else "passed"
        yield Check("no branch past all layers", rules.BRANCH, state, branches[0].message if branches else "", branches)


def _careless(name: str, rule: rules.Rule, words: str, found: tuple[str, ...], doubt: str) -> Check:
    """What a careless loader would do: a search that found nothing and did not see all of the file is no pass."""
    details = tuple(Detail(f"{words}: {each}.") for each in found)
    if found:
        return Check(name, rule, "failed", f"{words}: {', '.join(found)}.", details)
    return Check(name, rule, "undecided" if doubt else "passed", doubt)


def _ordinary(reached: str) -> bool:
    """Whether it is one of ONNX's data files in the model's own folder; words that were cut short do not tell."""
    return reached.startswith("the data file ") and reached.endswith(("'", '"'))
