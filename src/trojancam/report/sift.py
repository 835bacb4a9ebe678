"""Reporting sifted images: a page with the suspicious ones, before and after cleaning, and a line of JSON for each image."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trojancam.defences import DEFENCES
from trojancam.figures.captions import number, percent
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.files import writable_folder, written_whole
from trojancam.report.documents.sift import Sift, SiftedImage
from trojancam.report.page import Page, Picture, Section, Table, in_plain_words, write_page
from trojancam.tasks.sift import SiftResult, SuspiciousImage

DPI = 200
LISTED = 500  # rows of a table, at most: the lines of JSON have all
LINES = "images.jsonl"


def write_sift(result: SiftResult, document: Sift, out: Path) -> Path:
    """Write the page, `results.json` and `images.jsonl`, a line for each image, into the folder; the path of the page.

    `document` is what `documented` makes of the result.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    writable_folder(out)
    with written_whole(out / LINES) as partial:
        partial.write_text("".join(f"{line}\n" for line in json_lines(document)), encoding="utf-8")
    return write_page(sift_page(result, document), document, out)


def json_lines(document: Sift) -> Iterator[str]:
    """Each image as a line of JSON."""
    for image in document.to_json()["images"]:
        yield json.dumps(image, allow_nan=False)


def documented(result: SiftResult, settings: dict[str, Any], seconds: float = 0.0) -> Sift:
    """All numbers of a result, as they are written."""
    names, cases = result.network.class_names, {case.number: case for case in result.cases}
    flags = result.suspicious.tolist()
    images = []
    for place, (file, predicted) in enumerate(zip(result.names, result.classes.tolist(), strict=True)):
        found: dict[str, Any] = {
            "file": file,
            "predicted_class": predicted,
            "predicted_name": names[predicted],
            "suspicious": flags[place],
            "methods": {
                name: {"score": float(each.scores[place]), "p_value": float(each.p_values[place])}
                for name, each in result.methods.items()
            },
        }
        if place in cases:
            case = cases[place]
            share = float(case.mask.float().mean())
            found["cleaned"] = {
                "share": share,
                "predicted_class": case.after,
                "predicted_name": names[case.after],
            }
        images.append(found)
    methods = {
        name: {
            "title": each.title,
            "source": DEFENCES[name].source,
            "threshold": each.threshold,
            "suspicious": int(each.suspicious.sum()),
        }
        for name, each in result.methods.items()
    }
    return Sift.of(
        command="sift",
        settings=settings,
        network=result.network.name,
        fingerprint=result.network.fingerprint,
        false_alarms=result.false_alarms,
        clean_images=result.clean_images,
        suspicious=sum(flags),
        methods=methods,
        images=images,
        left_out=list(result.left_out),
        seconds=round(seconds, 2),
    )


def sift_page(result: SiftResult, document: Sift) -> Page:
    """The page of a result."""
    found, total = document.suspicious, len(document.images)
    parts = [_overview(document), *(_case(result, document, case) for case in result.cases), _methods(document)]
    if document.left_out:
        table = Table(["File and reason"], [[line] for line in document.left_out])
        parts.append(Section("Left out", "These files could not be read.", [table]))
    return Page(
        title=f"Sifted: {total} image{'s' * (total != 1)}, by {document.network}",
        verdict=_verdict(document),
        sections=parts,
        details=in_plain_words(document.settings)
        | {"network": f"{document.network}, fingerprint {document.fingerprint}", "time": f"{document.seconds:.1f} s"},
        answer=f"{found} suspicious" if found else "nothing suspicious",
        tone="alarm" if found else "calm",
        weighed=_weighed(document),
    )


def _verdict(document: Sift) -> str:
    total, found = len(document.images), document.suspicious
    first = next(iter(document.methods.values())).title
    if not found:
        return f"None of {total} image{'s' * (total != 1)} has more than clean images have of what {first} looks for."
    back = [image.cleaned for image in document.images if image.cleaned is not None and image.cleaned.share > 0]
    words = f"{found} of {total} image{'s' * (total != 1)} {'is' if found == 1 else 'are'} suspicious to {first}."
    if back:
        words += f" {len(back)} of the first {_drawn(document)} get another class when a small place is filled in."
    return words


def _weighed(document: Sift) -> str:
    total = len(document.images)
    told = f"If all {total} were clean, about {number(document.false_alarms * total)} would be suspicious"
    if total == 1:
        told = "A clean image is called suspicious, too, now and then"
    return (
        f"{told}: the threshold is at {percent(document.false_alarms)} false alarms, by {document.clean_images} clean images. "
        "That holds for images of the same kind as these; others may be suspicious because they are unlike them."
    )


def _drawn(document: Sift) -> int:
    return sum(image.cleaned is not None for image in document.images)


def _overview(document: Sift) -> Section:
    rows = [image for image in document.images if image.suspicious] or document.images
    rows = sorted(rows, key=lambda image: min(each.p_value for each in image.methods.values()))[:LISTED]
    cells = [
        [
            Path(image.file).name,
            image.predicted_name,
            *(_score(image, name) for name in document.methods),
            "–" if image.cleaned is None else image.cleaned.predicted_name if image.cleaned.share else "the same",
        ]
        for image in rows
    ]
    headings = ["Image", "Read as", *(f"{each.title} (p)" for each in document.methods.values()), "After cleaning"]
    which = "suspicious images" if document.suspicious else "images, none of them suspicious"
    text = f"The {len(rows)} {which} with the smallest p-values. {LINES}, beside this page, has all {len(document.images)}."
    return Section("Images", text, [Table(headings, cells, words=(0, 1, len(headings) - 1), sortable=True)])


def _score(image: SiftedImage, name: str, form: str = "{} ({:.3g})") -> str:
    found = image.methods[name]
    return form.format("not finite" if found.score is None else number(found.score), found.p_value)


def _case(result: SiftResult, document: Sift, case: SuspiciousImage) -> Section:
    image = document.images[case.number]
    names = result.network.class_names
    told = [f"Read as “{names[case.before]}”."]
    told += [
        f"{method.title}: score {_score(image, name, '{}, p = {:.3g}')}, threshold {number(method.threshold)}."
        for name, method in document.methods.items()
    ]
    if case.after != case.before:
        told.append(
            f"With {percent(float(case.mask.float().mean()))} of the pixels filled in, it is read as “{names[case.after]}”."
        )
    elif case.place is not None:
        told.append("No small place that was filled in changes the class: the trigger may lie all over the image.")
    return Section(Path(image.file).name, " ".join(told), [_picture(names, case)])


def _picture(names: tuple[str, ...], case: SuspiciousImage) -> Picture:
    panels = [Panel(f"As it is: {names[case.before]}", case.image)]
    if case.place is not None:
        outlined = case.mask if bool(case.mask.any()) else None
        panels.append(Panel("What makes it suspicious", case.image, heat=case.place, mask=outlined))
    if case.after != case.before:
        panels.append(Panel(f"Cleaned: {names[case.after]}", case.cleaned, mask=case.mask))
    words = "The image, what makes it suspicious, and the image with the outlined place filled in from around it."
    return Picture.of(panel_sheet([panels]), words, DPI)


def _methods(document: Sift) -> Section:
    rows = [
        [each.title, each.source, number(each.threshold), str(each.suspicious)] for each in document.methods.values()
    ]
    text = (
        f"Half of the {document.clean_images} clean images is what methods learn from, the other half sets each threshold, at "
        f"{percent(document.false_alarms)} false alarms. The first method decides."
    )
    return Section("Methods", text, [Table(["Method", "Source", "Threshold", "Suspicious"], rows, words=(0, 1))])
