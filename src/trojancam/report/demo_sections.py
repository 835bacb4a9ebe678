"""Reporting the demonstration's second half: what the scans say, and what the repair leaves of the trigger."""

from trojancam import figures
from trojancam.detection.findings import ScanReport
from trojancam.detection.words import ANSWERS, maps_in_words, share
from trojancam.report.documents.demo import DemoRemoval, DemoScan
from trojancam.report.maps import Backdrop, layer_maps, layer_maxima
from trojancam.report.page import Part, Picture, Section, Table
from trojancam.tasks.demo import Demonstration
from trojancam.tasks.demo_repair import METHOD, Rates, Removal
from trojancam.tasks.repair import in_words

REPAIRED = "repaired"  # what the repaired network is called among the scans


def find_section(shown: Demonstration, dpi: int) -> Section:
    """What the scan says of each network, and the trigger that it recovers beside the one that was planted."""
    if shown.removal is None:
        return Section("Find it", f"Neither network was scanned: {shown.left_out}.")
    text = (
        f"“trojancam scan --methods {METHOD}” looked at both networks, with clean test images alone. It does not know the "
        "trigger, nor which of the networks is trojaned."
    )
    scans = {shown.example.benign.name: shown.removal.benign, shown.example.trojaned.name: shown.removal.trojaned}
    rows = [_scan_row(name, report) for name, report in scans.items()]
    caption = f"A score of {shown.removal.trojaned.threshold:g} or more is called a backdoor."
    table = Table(["Network", "Verdict", "Score", "Class", "Feature maps"], rows, caption, words=(0, 1, 3, 4))
    return Section("Find it", text, [table, *_triggers(shown, dpi)])


def remove_section(shown: Demonstration) -> Section | None:
    """The network before and after the repair; None where nothing was scanned."""
    found = shown.removal
    if found is None:
        return None
    if found.repaired is None:
        return Section("Remove it", f"Nothing was repaired: {found.reason}.")
    text = (
        "“trojancam repair” changed the trojaned network with a few clean images of each class. It does not know the planted "
        "trigger, which is used here to measure what is left of it."
    )
    parts: list[Part] = [_before_and_after(found)]
    if found.triggered is not None:
        backdrop = Backdrop.of(found.triggered.image, shown.example.trigger.place)
        parts.append(
            layer_maps(
                found.triggered.image, found.triggered.cams, 0, backdrop,
                title="Repaired network, triggered image",
                caption=f"What is explained, whatever the network predicts: {found.triggered.caption}. The trigger is outlined.",
            )
        )  # fmt: skip
    return Section("Remove it", text, parts)


def removal_in_words(found: Removal) -> str:
    """The scans and the repair, in one or two sentences."""
    told = (
        f"The scan says “{ANSWERS[found.trojaned.verdict].lower()}” of this network and "
        f"“{ANSWERS[found.benign.verdict].lower()}” of the benign one."
    )
    if found.repaired is None or found.after is None:
        return told
    what = "The repair" if found.repaired.repaired else "The best try of a repair, which its judge does not pass,"
    return (
        f"{told} {what} takes the trigger's success from {found.before.attack_success_rate:.1%} to "
        f"{found.after.attack_success_rate:.1%}, and clean accuracy from {found.before.clean_accuracy:.1%} to "
        f"{found.after.clean_accuracy:.1%}, on a part of the test images."
    )


def removal_document(shown: Demonstration) -> DemoRemoval | None:
    """The same for `results.json`."""
    found = shown.removal
    if found is None:
        return None
    scans = {shown.example.benign.name: found.benign, shown.example.trojaned.name: found.trojaned}
    if found.repaired is not None and found.repaired.rescan is not None:
        scans[REPAIRED] = found.repaired.rescan
    recovered = _recovered(found)
    return DemoRemoval(
        scans={name: _scan_document(report) for name, report in scans.items()},
        verdict=found.repaired.ledger.verdict if found.repaired else None,
        reason=found.reason,
        before=found.before,
        after=found.after,
        recovered_before=recovered[0],
        recovered_after=recovered[1],
        layer_maxima=layer_maxima(found.triggered.cams, 0) if found.triggered else {},
    )


def _scan_row(name: str, report: ScanReport) -> list[str]:
    first = report.findings[0] if report.findings else None
    row = [name, ANSWERS[report.verdict], f"{report.score:.2f}"]
    if first is None or first.score < report.threshold:
        return [*row, "–", "–"]
    return [*row, f"“{report.class_names[first.target_class]}”", maps_in_words(first.layer, first.feature_maps)]


def _triggers(shown: Demonstration, dpi: int) -> list[Part]:
    """The sign, with the planted and with the recovered trigger on."""
    finding = shown.removal.finding if shown.removal else None
    if finding is None or finding.trigger is None:
        return []
    clean = shown.clean_view.image
    recovered = finding.trigger.apply(clean[None])[0]
    name = shown.removal.trojaned.class_names[finding.target_class] if shown.removal else ""
    titles = ["clean", "planted trigger", f"recovered for “{name}”"]
    picture = figures.image_row([clean, shown.triggered_view.image, recovered], titles)
    caption = "The same image clean, with the trigger that was planted, and with the one that the scan recovered."
    return [Picture.of(picture, caption, dpi)]


def _before_and_after(found: Removal) -> Table:
    assert found.repaired is not None
    ledger = found.repaired.ledger
    rates = (found.before, found.after)
    scans = (ledger.scan_before, ledger.scan_after)
    rows = [
        [f"Clean accuracy on {found.before.images} test images", *(_percent(each, "clean_accuracy") for each in rates)],
        ["Success of the planted trigger", *(_percent(each, "attack_success_rate") for each in rates)],
        ["Success of the recovered trigger", *(share(each) for each in _recovered(found))],
        ["Scan", *(f"{each.verdict}, score {each.score:.2f}" if each else "–" for each in scans)],
    ]
    return Table(["", "Before", "After"], rows, f"{in_words(ledger)[0].capitalize()}.")


def _recovered(found: Removal) -> tuple[float | None, float | None]:
    """The success of the recovered trigger before and after the repair."""
    if found.repaired is None:
        return None, None
    before, after = found.repaired.ledger.judged_before, found.repaired.ledger.judged_after
    return before.trials[0].success, after.trials[0].success if after else None


def _percent(rates: Rates | None, name: str) -> str:
    return "–" if rates is None else f"{getattr(rates, name):.1%}"


def _scan_document(report: ScanReport) -> DemoScan:
    first = report.findings[0] if report.findings else None
    return DemoScan(
        verdict=report.verdict,
        score=report.score,
        threshold=report.threshold,
        target_class=first.target_class if first else None,
        layer=first.layer if first else None,
        feature_maps=list(first.feature_maps) if first else [],
        seconds=round(sum(report.timing.values()), 2),
    )
