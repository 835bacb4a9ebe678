"""Reporting a stimulation: what the network answers before and after, with heat maps and dose-response curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from trojancam import figures
from trojancam.files import writable_folder
from trojancam.report.documents.stimulate import Stimulate
from trojancam.report.page import Page, Picture, Section, Table, in_plain_words, write_page
from trojancam.stimulation import DoseResponse
from trojancam.tasks.stimulate import StimulationAnswer

FEW = 30  # images: a rate over fewer is a hint
DPI = 200  # twice what the page shows at its natural size


@dataclass(frozen=True)
class StimulationFiles:
    """The paths of the page and of its figures."""

    page: Path
    figures: tuple[Path, ...]


def write_stimulation(answer: StimulationAnswer, out: Path, settings: dict[str, Any]) -> StimulationFiles:
    """Write the page, its figures and `results.json` into the folder `out`; `settings` are what else the page says.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    network = answer.network
    pictures = _draw(answer, writable_folder(out))
    files = tuple(path for path, _ in pictures)
    details = in_plain_words(settings)
    page = Page(
        title=f"A stimulation of {network.name}",
        verdict=verdict(answer),
        sections=_sections(answer, pictures),
        details=details | {"fingerprint": network.fingerprint, "time": f"{answer.seconds:.1f} s"},
        weighed=_weighed(answer),
    )
    return StimulationFiles(write_page(page, _document(answer, settings, [path.name for path in files]), out), files)


def verdict(answer: StimulationAnswer) -> str:
    """What came of it, in a sentence."""
    name, changes = answer.network.class_names[answer.target_class], answer.logit_changes
    rise = f"its logit changes by {sum(changes) / len(changes):+.2f} on average"
    if math.isnan(answer.success_rate):
        return f"All {len(changes)} images are of the class “{name}”, so none can become it; {rise}."
    return (
        f"The stimulation gives {answer.success_rate:.0%} of the images of other classes the class “{name}” "
        f"(stimulation ASR); {rise}."
    )


def _weighed(answer: StimulationAnswer) -> str:
    """How much so many images can tell."""
    others = int((answer.labels != answer.target_class).sum())
    return (
        f"Counted on {others} image{'s' * (others != 1)} of other classes{': a hint, no rate' if others < FEW else ''}."
    )


def remarks(answer: StimulationAnswer) -> list[str]:
    """What makes the stimulation say less than it seems to."""
    peaks = answer.stimulated.peaks
    unreached = {
        number
        for stimulation in answer.stimulated.stimulations
        if stimulation.unit == "map"
        for number in stimulation.maps(len(peaks))
        if float(peaks[number]) <= 0
    }
    return [
        f"Feature map {number} is not active on any of these images, so a strength in its own unit is 0; "
        "count it in the layer's."
        for number in sorted(unreached)
    ]


def _draw(answer: StimulationAnswer, out: Path) -> list[tuple[Path, Picture]]:
    """The figures, as files and as parts of the page: strengths first, then an image each."""
    names, found, doses = answer.network.class_names, answer.stimulated, answer.doses
    drawn = {}
    if doses is not None:
        name = names[doses.target_class]
        words = "Strengths are multiples of the value asked for. Blank heat maps do not count."
        drawn["doses"] = figures.dose_curves(doses, name, found.layer, answer.labels), words
    for index, image in enumerate(answer.images):
        before, after = (each.logits[index] for each in (found.before, found.after))
        caption = figures.caption(after, names)
        words = f"Image {index + 1}: {figures.caption(before, names)} before; {caption} after."
        drawn[f"image-{index + 1}"] = figures.before_after(image, found, index, caption=caption), words
    pictures = []
    for name, (figure, words) in drawn.items():
        figures.save(figure, out / f"{name}.png", DPI)
        pictures.append(
            (out / f"{name}.png", Picture((out / f"{name}.png").read_bytes(), words, figures.labels_of(figure)))
        )
    return pictures


def _sections(answer: StimulationAnswer, pictures: Sequence[tuple[Path, Picture]]) -> list[Section]:
    found, by_name = answer.stimulated, {path.stem: picture for path, picture in pictures}
    doses = by_name.pop("doses", None)
    headings = ["Image", "Its class", "Class before", "Class after", "Logit before", "Logit after"]
    rows = [
        [str(number + 1), row["label_name"], row["before"]["predicted_name"], row["after"]["predicted_name"],
         f"{row['before']['logit']:.2f}", f"{row['after']['logit']:.2f}"]
        for number, row in enumerate(_rows(answer))
    ]  # fmt: skip
    caption = f"Logits are those of “{answer.network.class_names[answer.target_class]}”."
    sections = [
        Section(
            "Answers", " ".join(remarks(answer)), [Table(headings, rows, caption, words=(0, 1, 2, 3), sortable=True)]
        )
    ]
    if doses is not None:
        sections.append(Section("Dose and response", "", [doses]))
    text = f"Grad-CAM of {found.after.target}, from the stimulated layer on, before and after."
    return [*sections, Section("Heat maps", text, list(by_name.values()))]


def _rows(answer: StimulationAnswer) -> list[dict[str, Any]]:
    names, found = answer.network.class_names, answer.stimulated
    rows = []
    for index, label in enumerate(answer.labels.tolist()):
        row: dict[str, Any] = {"label": label, "label_name": names[label] if label < len(names) else str(label)}
        for when, recording in (("before", found.before), ("after", found.after)):
            predicted = int(recording.logits[index].argmax())
            row[when] = {
                "predicted_class": predicted,
                "predicted_name": names[predicted],
                "logit": float(recording.logits[index, answer.target_class]),
            }
        rows.append(row)
    return rows


def _document(answer: StimulationAnswer, settings: dict[str, Any], drawn: list[str]) -> Stimulate:
    found, doses = answer.stimulated, answer.doses
    return Stimulate.of(
        command="stimulate",
        settings=settings,
        fingerprint=answer.network.fingerprint,
        stimulations=[stimulation.to_json() for stimulation in found.stimulations],
        largest_clean_activations=found.peaks.tolist(),
        target_class=answer.target_class,
        target_name=answer.network.class_names[answer.target_class],
        stimulation_asr=answer.success_rate,
        logit_change=sum(answer.logit_changes) / len(answer.logit_changes),
        images=_rows(answer),
        remarks=remarks(answer),
        figures=drawn,
        doses=None if doses is None else _doses_json(doses, answer.labels),
        seconds=round(answer.seconds, 2),
    )


def _doses_json(doses: DoseResponse, labels: Int64[Tensor, " n"]) -> dict[str, Any]:
    return {
        "strengths": list(doses.strengths),
        "logits": doses.logits.tolist(),
        "predicted_classes": doses.predicted.tolist(),
        "energy_inside": doses.energy.tolist(),
        "stimulation_asr": list(doses.success_rates(labels)),
    }
