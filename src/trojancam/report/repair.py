"""Reporting a repair: one page and one JSON file, with the verdict, the ledger, pictures, and what is not known."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trojancam import figures
from trojancam.detection import DETECTORS
from trojancam.detection.words import share
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.removal.judging import Ruling, Trial
from trojancam.removal.ledger import Ledger
from trojancam.removal.repairing import REPAIRS
from trojancam.report.documents import repair as document
from trojancam.report.next_steps import after_repair
from trojancam.report.page import Page, Picture, Section, Table, in_plain_words, write_page
from trojancam.report.scan_pictures import DPI
from trojancam.tasks.repair import Repaired
from trojancam.tasks.repair_views import RepairView

PAGE = "repair.html"
NOTHING = "–"


def write_repair(result: Repaired, out: Path, settings: Mapping[str, Any]) -> Path:
    """Write `repair.html` and `repair.json` into the folder, each whole or not at all; the path of the page.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    ledger = result.ledger
    page = Page(
        title=f"Repair of {settings.get('model', result.original.name)}",
        verdict=verdict_words(result),
        sections=list(_sections(result, settings)),
        details=_details(result, settings),
        answer="Repaired" if result.repaired else "Not repaired",
        tone="calm" if result.repaired else "alarm",
        weighed=ledger.remarks[0],
    )
    return write_page(page, _document(result, settings), out, PAGE)


def verdict_words(result: Repaired) -> str:
    """What was done, and what the judge says of it."""
    ledger = result.ledger
    title = REPAIRS[ledger.method].title
    if ledger.judged_after is None:
        return f"No try of the method “{title}” kept clean accuracy within the budget. The network is as it was."
    words = next(each.words for each in ledger.tries if each.rung == ledger.rung)
    before, after = ledger.judged_before.trials[0], ledger.judged_after.trials[0]
    name = result.original.class_names[before.target_class]
    told = (
        f"“{title}”, {words}. The recovered trigger sent {share(before.success)} of the held-back images to “{name}” before, "
        f"and {share(after.success)} after."
    )
    if result.repaired:
        return told
    return f"{told} The judge does not pass this network: {'; '.join(ledger.judged_after.broken)}."


def _sections(result: Repaired, settings: Mapping[str, Any]) -> Iterator[Section]:
    ledger = result.ledger
    yield Section("Before and after", "", [_ledger_table(result)])
    if result.views:
        text = (
            "The same images with the recovered trigger on. The heat maps show what speaks for the class that the trigger "
            "leads to."
        )
        yield Section("The same images", text, [_picture(result, view) for view in result.views])
    yield Section("How easily it comes back", return_words(ledger), [])
    yield Section("What was tried", "The judge stops at the first try that breaks no rule.", _tries_tables(ledger))
    changed = [[each.module, f"{each.values:,}", f"{each.change:.2%}"] for each in ledger.modules]
    if changed:
        caption = "The length of the change as a share of the length of the weights."
        yield Section("What was changed", "", [Table(["Module", "Weights", "Change"], changed, caption, sortable=True)])
    if ledger.bounds:
        yield Section("What was bounded", "", [_bounds_table(ledger)])
    yield Section("Accuracy by class", "", [_class_table(result)])
    yield after_repair(result.repaired, settings, list(result.report.opinions))
    limits = [[remark] for remark in ledger.remarks]
    yield Section("What is not known", "", [Table(["Limit"], limits, words=(0,))])


def _bounds_table(ledger: Ledger) -> Table:
    caption = (
        "No feature map becomes larger than its bound. Halved: how many may reach less than half of what they reach on clean "
        "images without bounds. Mean bound: as a share of that."
    )
    rows = [[each.layer, str(each.feature_maps), str(each.halved), f"{each.share:.0%}"] for each in ledger.bounds]
    return Table(["Layer", "Feature maps", "Halved", "Mean bound"], rows, caption, sortable=True)


def ledger_rows(result: Repaired) -> list[list[str]]:
    """The ledger side by side: what was measured, before, after, and of a clean reference network, where there is one.

    Of several findings each is named by its class and its method, as on the page of the scan, which lists them in another order.
    """
    ledger = result.ledger
    methods = [DETECTORS[each.finding.detector].title for each in result.outcome.culprits]
    measured, beside = ledger.accuracy_after, ledger.reference
    clean = [ledger.accuracy_before, measured, *([beside.accuracy] if beside else [])]
    rows = [
        [
            f"Clean accuracy on {ledger.accuracy_before.overall.images} images",
            *(str(each.overall) if each else NOTHING for each in clean),
        ]
    ]
    judged = [ledger.judged_before, ledger.judged_after, *([beside.judged] if beside else [])]
    several = len(ledger.judged_before.trials) > 1
    for place, before in enumerate(ledger.judged_before.trials):
        method = f" by {methods[place]}" if several else ""  # two methods may find triggers of one class
        named = f"class {before.target_class}{method}"
        what = (
            f"Success of the recovered trigger, {named}",
            f"Success of fresh triggers, {named}",
            "The same for other target classes",
            f"Greatest success of relatives of triggers that worked before, {named}",
            f"Robust accuracy with the recovered trigger, {named}",
        )
        found = [_rates(each.trials[place] if each else None) for each in judged]
        rows += [list(row) for row in zip(what, *found, strict=True)]
    scans = (ledger.scan_before, ledger.scan_after)
    rows.append(["Scan", *(f"{each.verdict}, score {each.score:.3g}" if each else NOTHING for each in scans)])
    rows.append(["Fidelity", NOTHING, NOTHING if ledger.fidelity is None else f"{ledger.fidelity:.3f}"])
    if beside:
        for row in rows[-2:]:
            row.append(NOTHING)
        back = [None, ledger.reactivation, beside.reactivation]
        for words, name in (("after ten poisoned images", "relearned"), ("with a small push", "pushed")):
            shares = [share(getattr(each, name)) if each else NOTHING for each in back]
            rows.append([f"Success of the recovered trigger {words}", *shares])
    return rows


def _ledger_table(result: Repaired) -> Table:
    ledger = result.ledger
    caption = (
        f"{ledger.judged_before.images} images were held back, so that no try learned from them. Rates of triggers are those of "
        "the ones whose class the trigger is to turn. Fresh triggers are "
        "looked for anew, and some always work a little. They tell of a backdoor only where they work better for its class than "
        "for other target classes, which is what the judge compares."
    )
    headings = ["", "Before", "After", *(["Clean reference"] if ledger.reference else [])]
    return Table(headings, ledger_rows(result), caption)


def _rates(trial: Trial | None) -> list[str]:
    """Success of the recovered trigger, of fresh ones, the same for other classes, of relatives, and robust accuracy."""
    rates = ("success", "fresh", "control", "relatives", "robust")
    found = [None if trial is None else getattr(trial, rate) for rate in rates]
    return [share(each) for each in found]


def _tries_tables(ledger: Ledger) -> list[Table]:
    """The tries, and below them the rules that each of them breaks."""
    rows = [["before", "", *_judged(ledger.judged_before), NOTHING]]
    for each in ledger.tries:
        broken = len(each.ruling.broken)
        judge = f"breaks {broken} rule{'s' * (broken != 1)}" if broken else "passes"
        rows.append([each.rung, each.words, *_judged(each.ruling), judge])
    headings = [
        "Try",
        "What it did",
        "Clean accuracy",
        "Recovered",
        "Fresh",
        "Fresh, other classes",
        "Relatives",
        "Robust",
        "Judge",
    ]
    rules = [[each.rung, rule] for each in ledger.tries for rule in each.ruling.broken]
    caption = (
        f"All of it measured on the {ledger.judged_before.images} images that no try learned from. The clean accuracy at the top "
        f"is that of {ledger.accuracy_before.overall.images} images, so that the two differ."
    )
    tables = [Table(headings, rows, caption, words=(0, 1, 8))]
    return [*tables, Table(["Try", "Rule that it breaks"], rules, words=(0, 1))] if rules else tables


def _judged(ruling: Ruling) -> list[str]:
    return [share(ruling.accuracy), *_rates(ruling.trials[0])]


def return_words(ledger: Ledger) -> str:
    """How easily the backdoor comes back."""
    found = ledger.reactivation
    if found is None:
        return "This was not measured, as there is no network that was changed."
    return (
        "Ten images with the recovered trigger, labelled as its target, were put among 86 clean ones, and the repaired network "
        f"was fine-tuned on them: the trigger then works on {share(found.relearned)} of the held-back images. One perturbation "
        "for all images, at most 0.05 a pixel, on top of the trigger makes it work on "
        f"{share(found.pushed)}; such a perturbation without the trigger on {share(found.push_alone)}."
    )


def _class_table(result: Repaired) -> Table:
    before, after = result.ledger.accuracy_before, result.ledger.accuracy_after
    rows = []
    for number, old in sorted(before.of_class.items()):
        new = after.of_class[number] if after else None
        row = [result.original.class_names[number], str(old.images), f"{old.share:.1%}"]
        rows.append([*row, f"{new.share:.1%}" if new else NOTHING])
    return Table(["Class", "Images", "Before", "After"], rows, sortable=True)


def _picture(result: Repaired, view: RepairView) -> Picture:
    names = result.original.class_names
    said = [figures.caption(each.logits[0], names) for each in (view.before, view.after)]
    panels = [
        Panel(f"A clean image: {names[view.label]}", view.clean),
        Panel("With the recovered trigger on", view.stamped),
        _heat(f"Before: {said[0]}", view, before=True),
        _heat(f"After: {said[1]}", view, before=False),
    ]
    figure = panel_sheet([panels], f"Class “{names[view.target]}”", ["heat: what speaks for this class"])
    caption = (
        f"“{names[view.label]}” with the recovered trigger on: {said[0]} before the repair, {said[1]} after. "
        f"Heat maps are Grad-CAM at {view.layer}, each on a scale of its own."
    )
    return Picture.of(figure, caption, DPI)


def _heat(title: str, view: RepairView, *, before: bool) -> Panel:
    cam = view.before_cam if before else view.after_cam
    return Panel(title, view.stamped, f"Grad-CAM, {view.layer}", heat=cam.heatmap()[0], blank=cam.blank_reason(0))


def _details(result: Repaired, options: Mapping[str, Any]) -> dict[str, str]:
    details = in_plain_words(options)
    details["fingerprint before"] = result.original.fingerprint
    if result.network is not None:
        details["fingerprint after"] = result.network.fingerprint
    method = REPAIRS[result.ledger.method]
    details["method"] = f"{method.title} ({method.source}){', ' if method.note else ''}{method.note}"
    details["time"] = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.ledger.seconds.items())
    return details


def _document(result: Repaired, settings: Mapping[str, Any]) -> document.Repair:
    return document.Repair.of(
        command="repair",
        options=settings,
        fingerprint=result.original.fingerprint,
        repaired_fingerprint=result.network.fingerprint if result.network else None,
        class_names=list(result.original.class_names),
        ledger=result.ledger.to_json(),
        findings=[each.finding.to_json() for each in result.outcome.culprits],
    )
