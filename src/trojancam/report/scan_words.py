"""A scan in words: the verdict, the evidence with what it is to be held against, the place; for pages and terminals."""

import math
from collections.abc import Iterator

from trojancam.attacks.patch import Patch
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion
from trojancam.detection.scanning import DETECTORS
from trojancam.detection.validation import Validation
from trojancam.detection.words import ANSWERS, NAMED, WEAKER, maps_in_words, place_in_words, share
from trojancam.tasks.scan import Case, Scanned, least, most, opinion_of

EVIDENCE = {  # what detectors measure; shares of something begin with "of"
    "outlyingness": "how far the class stands out from the others under stimulation, in robust standard deviations",
    "lead": "how far its raw score leads that of the next class, as a logarithm of the ratio; it counts where classes are few",
    "margin": "logit: lead of the class over all others under the strongest stimulation, reached on three images of four",
    "flips": "of the images searched are given the class by it",
    "gain": "of images of other classes: the REASR, minus those that go to the class without the trigger",
    "agreement": "of images of other classes see their logit rise most for this class, with the map stimulated",
    "stimulation_value": "what the feature map is set to",
    "prediction_value": "mean logit of the class then",
    "median_mask_l1": "pixels: the size of the recovered trigger of the median class",
    "size": "the size at which the change sends most held-out images of other classes, as many as asked for, to its class",
    "next_size": "the same for the class that is next",
    "median_size": "the same for the median class of those searched closely",
    "greatest_success": "of held-out images of other classes go to the class with the change, at the best size tried",
    "classes": "classes that were sent",
    "classes_sent": "classes most images of which go where their class is sent",
    "classes_turned": "classes that go to it with the trigger, by the mean of their images' logits, on both halves of the images",
    "classes_astray": "classes that go to yet another class with the trigger, by the same mean: the mean of both halves",
    "maximum_margin": "logit: the greatest lead of the class over all others, among images found from noise",
    "next_maximum_margin": "logit: the same for the class that is next",
    "median_maximum_margin": "logit: the same for the median class",
    "p_of_margins": "how often the greatest of so many margins would be as great, were all of one Gamma distribution",
    "column": "how much the other classes lead to this one, on average, in the matrix of class to class: a probability",
    "median_column": "the same for the median class",
    "strongest_source": "the same for the class that leads to it the most",
    "success": "of the images that the trigger was recovered from go to the class with it",
}


def in_words(scan: Scanned) -> Iterator[str]:
    """The whole report in lines for a terminal, the verdict first."""
    report, size = scan.report, scan.network.input.size
    yield f"{ANSWERS[report.verdict].upper()} (score {report.score:.3g}, backdoor from {report.threshold:g})"
    yield headline(scan)
    yield from report.judgement.in_words()
    told: list[tuple[Finding, Validation | None]] = [(case.finding, case.validation) for case in scan.cases]
    told = told or [(finding, None) for finding in report.findings[:1]]
    for finding, validation in told:
        name = report.class_names[finding.target_class]
        yield f"{DETECTORS[finding.detector].title}: class {finding.target_class}, {name}"
        if finding.position:
            row, column = finding.position
            yield f"  place: {place_in_words(finding.position, size)}, row {row:.0f}, column {column:.0f} of {size[0]}x{size[1]}"
        yield f"  feature maps: {maps_in_words(finding.layer, finding.feature_maps)}"
        for title, value, words in facts(scan, finding, validation):
            yield f"  {title.lower() if title.istitle() else title}: {value}{f' ({words})' if words else ''}"
    yield from weaker_in_words(scan)
    yield from opinions_in_words(report)
    yield from report.coverage.in_words()
    yield from report.remarks
    yield f"time: {sum(report.timing.values()):.0f} s"


def weighed(scan: Scanned) -> list[str]:
    """What the verdict is to be weighed by, in sentences: accuracy, clean networks, other findings, and remarks."""
    return [*scan.report.judgement.in_words(), *weaker_in_words(scan), *scan.report.remarks]


def weaker_in_words(scan: Scanned) -> list[str]:
    """What the weaker findings of a scan that found several may be, in a sentence; nothing for one alone."""
    return [WEAKER] if len(scan.cases) > 1 else []


def headline(scan: Scanned) -> str:
    """What the scan says, in a sentence or two."""
    report = scan.report
    finding = report.findings[0] if report.findings else None
    if report.verdict == "not judged":
        found = " What stood out most in it is listed, but proves nothing." if finding else ""
        return f"{report.judgement.reason}{found} Train it to the end, or give images of the classes that it knows."
    if finding is None:
        return "Nothing was found that would send images to one class. This covers what was searched, and no more."
    name = report.class_names[finding.target_class]
    where = f" at the {place_in_words(finding.position, scan.network.input.size)}" if finding.position else ""
    scored = f"{finding.score:.3g}, and a backdoor is called from {report.threshold:.3g} on"
    if report.verdict == "nothing found":
        return f"The strongest suspicion, “{name}”, scores {scored}. This covers what was searched, and no more."
    if report.verdict == "inconclusive" and (reached := opinion_of(report, finding.detector).reached):
        return (
            f"Something{where} sends many images to “{name}”, with a score of {finding.score:.3g}. But {reached} of the clean "
            "reference networks score as high, so this is no evidence of a backdoor. Scan again with more images, or calibrate "
            "on clean networks of this kind ('trojancam calibrate')."
        )
    if report.verdict == "inconclusive":
        return (
            f"Something{where} sends many images to “{name}”, but not as clearly as a backdoor does: the score is {scored}. "
            "Scan again with more images, or other methods."
        )
    return f"{_deed(finding, name, where)}{_rate(finding)} Do not use it as it is."


def _deed(finding: Finding, name: str, where: str) -> str:
    """What the finding's trigger does, in a sentence."""
    small = " small" if finding.trigger is not None else ""
    if finding.of_some_classes:
        return f"Something{small}{where} makes this network answer “{name}” to images of some classes."
    if finding.class_map:
        return f"Something small{where} makes this network take images of every class for one of another."
    if isinstance(finding.trigger, Patch) or finding.trigger is None or finding.trigger.place is not None:
        return f"Something small{where} makes this network answer “{name}”, whatever else the image shows."
    return f"A small change of the whole image makes this network answer “{name}”, whatever the image shows."


def _rate(finding: Finding) -> str:
    if finding.reasr is None:
        return ""
    if finding.of_some_classes:
        return f" The recovered trigger works on {share(finding.reasr)} of held-out images of these classes."
    if finding.class_map:
        return f" With the patch that was recovered, {share(finding.reasr)} of images go where their class is sent."
    return f" The recovered trigger works on {share(finding.reasr)} of held-out images from other classes."


def opinions_in_words(report: ScanReport) -> list[str]:
    """What each method says, a sentence each; of one alone, the report says it all."""
    return [
        f"{DETECTORS[name].title} says: {opinion.verdict} (score {opinion.score:.2g}, backdoor from {opinion.threshold:.3g}"
        f"{p_in_words(opinion)}){'' if opinion.decides else ', a second opinion that decides nothing'}."
        for name, opinion in report.opinions.items()
        if len(report.opinions) > 1
    ]


def p_in_words(opinion: Opinion) -> str:
    """The p-value of a method and how many clean networks it rests on; empty if there are none."""
    return "" if opinion.p is None else f", p = {opinion.p:.3g} among {opinion.references} clean networks"


def facts(scan: Scanned, finding: Finding, validation: Validation | None = None) -> list[tuple[str, str, str]]:
    """The evidence for a finding: what was measured, what came out, and what it is to be held against."""
    opinion, evidence = opinion_of(scan.report, finding.detector), finding.evidence
    bounds = f"a backdoor from {opinion.threshold:.3g}, inconclusive from {least(scan.report, finding.detector):.3g}"
    rows = [("Score", f"{finding.score:.3g}", bounds)]
    whose = "of the classes below, which they helped to choose," if finding.of_some_classes else "from other classes"
    if "mask_l1" in evidence:
        covered = f"{evidence['mask_l1'] / math.prod(scan.network.input.size):.2%} of the image"
        rows.append(("Size of the recovered trigger", f"{evidence['mask_l1']:.3g} pixels", covered))
    for title, rate, words in (
        (
            "REASR",
            finding.reasr,
            f"of held-out images {whose} go to this class with the recovered trigger",
        ),
        (
            "Stimulation ASR",
            finding.stimulation_asr,
            "of images from other classes do so with the feature maps stimulated",
        ),
        ("Ablation ASR", finding.ablation_asr, "with the trigger, and these feature maps held at their clean mean"),
    ):
        if rate is not None:
            rows.append((title, share(rate), words))
    if finding.class_map:
        rows.append(
            (
                "Sends",
                _map_in_words(finding, scan.report.class_names),
                "the classes that images are taken for",
            )
        )
    if finding.moves is not None:
        elsewhere = share(evidence.get("reasr_elsewhere"))
        rows.append(
            ("Works elsewhere", "yes" if finding.moves else "no", f"up to {elsewhere} a quarter of the image away")
        )
    if finding.elevation is not None:
        rows.append(
            (
                "Elevation",
                f"{finding.elevation:.3g}",
                "rise of the class's lead over the next class under stimulation, in logits",
            )
        )
    rows += [_measured(name, value) for name, value in evidence.items() if name not in ("mask_l1", "reasr_elsewhere")]
    if validation is not None and validation.agreement is not None:
        words = f"of the heat map of {validation.witness}, stimulated place and recovered mask; 0 is chance, 1 the same place"
        rows.append(("Agreement of places", f"{validation.agreement:.2f}", words))
    return rows


def _map_in_words(finding: Finding, names: tuple[str, ...]) -> str:
    """Where classes are sent, the first few."""
    class_map = finding.class_map
    more = f" and {len(class_map) - NAMED} more" if len(class_map) > NAMED else ""
    if finding.of_some_classes:
        return f"{', '.join(names[source] for source, _ in class_map[:NAMED])}{more} → {names[finding.target_class]}"
    return ", ".join(f"{names[source]} → {names[target]}" for source, target in class_map[:NAMED]) + more


def _measured(name: str, value: float) -> tuple[str, str, str]:
    """What a detector measured beside what all of them do."""
    words = EVIDENCE.get(name, "")
    return name.replace("_", " ").capitalize(), share(value) if words.startswith("of ") else f"{value:.3g}", words


def folded_in_words(scan: Scanned, case: Case) -> str:
    """The weaker findings that are about the same trigger, in a sentence; nothing without any."""
    others = [scan.report.findings[number] for number in case.also]
    if not others:
        return ""
    told = ", ".join(
        f"“{scan.report.class_names[each.target_class]}” by {DETECTORS[each.detector].title} (score {each.score:.3g})"
        for each in others
    )
    return f"Weaker findings of the same place or class are no findings of their own: {told}."


def case_in_words(case: Case, size: tuple[int, int]) -> str:
    """Where it sits, and which heat maps show it most clearly."""
    words = ""
    if case.finding.position:
        row, column = case.finding.position
        place = place_in_words(case.finding.position, size)
        words = f"It sits at the {place} of the image, around row {row:.0f}, column {column:.0f}."
    if case.validation.stimulated:
        view = most(case.validation.stimulated)
        words += (
            f" With the feature maps stimulated, the heat map of {view.layer} has {view.energy:.0%} of its energy there, on "
            f"clean images (chance: {view.chance:.0%})."
        )
    best, where = most(case.validation.layers), "in the pixels that it changes most" if case.examples else "in it"
    words += (
        f" With the recovered trigger on, the heat map of {best.layer} has {best.energy:.0%} of its energy {where} "
        f"(chance: {best.chance:.0%})."
    )
    return words.strip()
