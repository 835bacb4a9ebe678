"""Reporting a stimulation: what the network answers before and after, with heat maps and dose-response curves."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from trojancam import figures
from trojancam.errors import DataError
from trojancam.files import writable_folder
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.report.documents.stimulate import Stimulate
from trojancam.report.page import Page, Picture, Section, Table, write_page
from trojancam.stimulation import DoseResponse, Stimulated, Stimulation, dose_response, stimulate

STRENGTHS = tuple(step / 4 for step in range(9))  # of the value asked for: from none to twice as much
FEW = 30  # images: a rate over fewer is a hint
DPI = 200  # twice what the page shows at its natural size


@dataclass(frozen=True)
class Answer:
    """What stimulated images were answered: the result, the class it is judged by, and the paths of page and figures.

    `labels` are the images' own classes; `doses` is None where the stimulation has no strength.
    """

    stimulated: Stimulated
    labels: Int64[Tensor, " n"]
    target_class: int
    doses: DoseResponse | None
    page: Path
    pictures: tuple[Path, ...]

    @property
    def success_rate(self) -> float:
        """The stimulation ASR; NaN where all images are of the target class."""
        return self.stimulated.success_rate(self.target_class, self.labels)

    @property
    def logit_changes(self) -> list[float]:
        """By how much the target class's logit rose, for each image."""
        before, after = self.stimulated.before.logits, self.stimulated.after.logits
        return [float(change) for change in (after - before)[:, self.target_class]]


def stimulate_images(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    labels: Int64[Tensor, " n"],
    stimulations: Sequence[Stimulation],
    out: Path,
    settings: dict[str, Any],
    target_class: int | None = None,
    progress: Progress = silent,
) -> Answer:
    """Stimulate images and write the page, its figures and `results.json` into the folder `out`.

    The class to judge by is, by default, the one most images are given when stimulated.

    Raises:
        TrojanCamError: if a stimulation does not fit the network, or the folder cannot be written to.
    """
    started = time.perf_counter()
    if target_class is None:
        target_class = int(stimulate(network, images, stimulations).after.logits.argmax(1).mode().values)
    found = stimulate(network, images, stimulations, logit(target_class))
    writable_folder(out)
    doses = None
    if any(stimulation.kind != "zero" for stimulation in stimulations):
        doses = dose_response(network, images, stimulations, STRENGTHS, target_class, progress=progress)
    pictures = _draw(network, images, found, doses, labels, out)
    answer = Answer(found, labels, target_class, doses, out / "index.html", tuple(path for path, _ in pictures))
    document = _document(network, answer, settings, round(time.perf_counter() - started, 2))
    details = {name.replace("_", " "): str(value) for name, value in settings.items()}
    page = Page(
        title=f"A stimulation of {network.name}",
        verdict=verdict(network, answer),
        sections=_sections(network, answer, pictures),
        details=details | {"fingerprint": network.fingerprint, "time": f"{document.seconds:.1f} s"},
        confidence=_confidence(answer),
    )
    write_page(page, document, out)
    return answer


def read_stimulations(path: Path) -> list[Stimulation]:
    """The stimulations in a JSON file: one record as `Stimulation.to_json` gives it, or a list of them.

    Raises:
        DataError: if the file cannot be read, or holds anything else.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot read stimulations from {path} ({reason}); write them with Stimulation.to_json()"
        ) from None
    return [Stimulation.from_json(record) for record in (records if isinstance(records, list) else [records])]


def verdict(network: Network, answer: Answer) -> str:
    """What came of it, in a sentence."""
    name, changes = network.class_names[answer.target_class], answer.logit_changes
    rise = f"its logit changes by {sum(changes) / len(changes):+.2f} on average"
    if math.isnan(answer.success_rate):
        return f"All {len(changes)} images are of the class “{name}”, so none can become it; {rise}."
    return (
        f"The stimulation gives {answer.success_rate:.0%} of the images of other classes the class “{name}” "
        f"(stimulation ASR); {rise}."
    )


def _confidence(answer: Answer) -> str:
    """How much so many images can tell."""
    others = int((answer.labels != answer.target_class).sum())
    return (
        f"Counted on {others} image{'s' * (others != 1)} of other classes{': a hint, no rate' if others < FEW else ''}."
    )


def remarks(answer: Answer) -> list[str]:
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


def _draw(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    found: Stimulated,
    doses: DoseResponse | None,
    labels: Int64[Tensor, " n"],
    out: Path,
) -> list[tuple[Path, Picture]]:
    """The figures, as files and as parts of the page: strengths first, then an image each."""
    drawn = {}
    if doses is not None:
        name = network.class_names[doses.target_class]
        words = "Strengths are multiples of the value asked for. Blank heat maps do not count."
        drawn["doses"] = figures.dose_curves(doses, name, found.layer, labels), words
    for index, image in enumerate(images):
        before, after = (each.logits[index] for each in (found.before, found.after))
        caption = figures.caption(after, network.class_names)
        words = f"Image {index + 1}: {figures.caption(before, network.class_names)} before; {caption} after."
        drawn[f"image-{index + 1}"] = figures.before_after(image, found, index, caption=caption), words
    pictures = []
    for name, (figure, words) in drawn.items():
        figures.save(figure, out / f"{name}.png", DPI)
        pictures.append((out / f"{name}.png", Picture((out / f"{name}.png").read_bytes(), words)))
    return pictures


def _sections(network: Network, answer: Answer, pictures: Sequence[tuple[Path, Picture]]) -> list[Section]:
    found, by_name = answer.stimulated, {path.stem: picture for path, picture in pictures}
    doses = by_name.pop("doses", None)
    headings = ["Image", "Its class", "Before", "After", "Logit before", "Logit after"]
    rows = [
        [str(number + 1), row["label_name"], row["before"]["predicted_name"], row["after"]["predicted_name"],
         f"{row['before']['logit']:.2f}", f"{row['after']['logit']:.2f}"]
        for number, row in enumerate(_rows(network, answer))
    ]  # fmt: skip
    caption = f"Logits are those of “{network.class_names[answer.target_class]}”."
    sections = [
        Section(
            "Answers", " ".join(remarks(answer)), [Table(headings, rows, caption, words=(0, 1, 2, 3), sortable=True)]
        )
    ]
    if doses is not None:
        sections.append(Section("Dose and response", "", [doses]))
    text = f"Grad-CAM of {found.after.target}, from the stimulated layer on, before and after."
    return [*sections, Section("Heat maps", text, list(by_name.values()))]


def _rows(network: Network, answer: Answer) -> list[dict[str, Any]]:
    names, found = network.class_names, answer.stimulated
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


def _document(network: Network, answer: Answer, settings: dict[str, Any], seconds: float) -> Stimulate:
    found, doses = answer.stimulated, answer.doses
    return Stimulate.of(
        command="stimulate",
        settings=settings,
        fingerprint=network.fingerprint,
        stimulations=[stimulation.to_json() for stimulation in found.stimulations],
        largest_clean_activations=found.peaks.tolist(),
        target_class=answer.target_class,
        target_name=network.class_names[answer.target_class],
        stimulation_asr=answer.success_rate,
        logit_change=sum(answer.logit_changes) / len(answer.logit_changes),
        images=_rows(network, answer),
        remarks=remarks(answer),
        figures=[path.name for path in answer.pictures],
        doses=None if doses is None else _doses_json(doses, answer.labels),
        seconds=seconds,
    )


def _doses_json(doses: DoseResponse, labels: Int64[Tensor, " n"]) -> dict[str, Any]:
    return {
        "strengths": list(doses.strengths),
        "logits": doses.logits.tolist(),
        "predicted_classes": doses.predicted.tolist(),
        "energy_inside": doses.energy.tolist(),
        "stimulation_asr": list(doses.success_rates(labels)),
    }
