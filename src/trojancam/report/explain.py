"""Reporting explained images: heat maps of every layer and feature map as pictures and on a page, and their numbers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from trojancam import figures
from trojancam.attribution import Attribution
from trojancam.errors import unknown_name
from trojancam.evaluation.localisation import dilated, layer_energy
from trojancam.files import writable_folder
from trojancam.progress import Progress, silent
from trojancam.records import without_nan
from trojancam.report.documents.explain import Explain, ExplainedImage
from trojancam.report.explain_page import SHOWN, explained_page, image_section
from trojancam.report.maps import map_numbers
from trojancam.report.page import Section, write_page
from trojancam.tasks.explain import Explanation, Explanations

STRONGEST = 5
CLASSES = 3  # with the greatest logits


@dataclass(frozen=True)
class Drawing:
    """What is drawn of explained images: single feature maps or not, and how.

    Raises:
        UnknownNameError: if the scale or the format does not exist.
    """

    feature_maps: bool = False
    scale: str = "shared"
    signed: bool = False
    format: str = "png"

    def __post_init__(self) -> None:
        if self.format not in figures.FORMATS:
            raise unknown_name("format", self.format, figures.FORMATS)
        if self.scale not in figures.SCALES:
            raise unknown_name("scale", self.scale, figures.SCALES)


@dataclass(frozen=True)
class ExplanationFiles:
    """The path of the page, and the document beside it."""

    page: Path
    document: Explain


def write_explanations(
    explanations: Explanations,
    out: Path,
    drawing: Drawing | None = None,
    progress: Progress = silent,
    settings: dict[str, Any] | None = None,
) -> ExplanationFiles:
    """Draw explained images into the folder `out`, and write the page and `results.json` beside the figures.

    `settings` are what else the page is to say of how it was made.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    drawing = drawing or Drawing()
    writable_folder(out)
    started, stems = time.perf_counter(), unique_stems([Path(name) for name in explanations.names])
    images: list[ExplainedImage] = []
    sections: list[Section] = []
    for number, (one, stem) in enumerate(zip(explanations, stems, strict=True)):
        found = _numbers(one, drawing)
        drawn = [path.name for path in _draw(one, out / stem, drawing)]
        images.append(ExplainedImage.model_validate({"file": one.name, **without_nan(found), "figures": drawn}))
        if number < SHOWN:
            sections.append(
                image_section(images[-1], one.image, _drawn(one), one.index, one.changed, drawing.scale, drawing.signed)
            )
        progress(number + 1, len(stems), one.name)
    document = _document(explanations, images, drawing, settings or {}, time.perf_counter() - started)
    return ExplanationFiles(write_page(explained_page(document, sections), document, out), document)


def _document(
    explanations: Explanations,
    images: Sequence[ExplainedImage],
    drawing: Drawing,
    settings: dict[str, Any],
    seconds: float,
) -> Explain:
    network, asked = explanations.network, explanations.settings
    chosen = {
        "layers": list(asked.layers or network.layers),
        "feature_maps": drawing.feature_maps,
        "target_class": asked.target_class,
        **({"methods": list(asked.methods)} if asked.methods else {}),
        "scale": drawing.scale,
        "signed": drawing.signed,
    }
    return Explain.of(
        command="explain",
        settings=settings | chosen,
        network=network.name,
        fingerprint=network.fingerprint,
        trigger=asked.trigger.name if asked.trigger else None,
        trigger_energy=_mean_energies(images) if asked.trigger else None,
        images=images,
        left_out=list(explanations.left_out),
        seconds=round(seconds, 2),
    )


def _mean_energies(images: Sequence[ExplainedImage]) -> dict[str, dict[str, float | None]]:
    """Each layer's mean share of energy in the trigger, a blank map counting as 0, beside what chance would give."""
    first = images[0].layers
    shares = {name: [one.layers[name].energy or 0.0 for one in images] for name in first}
    return {name: {"energy": sum(each) / len(each), "chance": first[name].chance} for name, each in shares.items()}


def _numbers(one: Explanation, drawing: Drawing) -> dict[str, Any]:
    """Prediction, explained class, and what is known of each layer and, where asked for, of each feature map."""
    logits, chances, names = one.logits, one.probabilities, one.class_names
    best = logits.topk(min(CLASSES, len(logits))).indices.tolist()
    explained = one.explained_class
    return {
        "predicted_class": one.predicted_class,
        "predicted_name": names[one.predicted_class],
        "explained_class": explained,
        "explained_name": names[explained],
        "logit": float(logits[explained]),
        "probability": float(chances[explained]),
        "classes": [
            {"class": k, "name": names[k], "logit": float(logits[k]), "probability": float(chances[k])} for k in best
        ],
        "layers": {
            name: _layer_numbers(cam, one.index, drawing, one.changed) for name, cam in one.attributions.items()
        },
        **({"whole": _whole_numbers(one)} if one.whole else {}),
    }


def _whole_numbers(one: Explanation) -> dict[str, Any]:
    """Of each map that explains the network as a whole."""
    return {
        name: {
            "maximum": float(found.heatmap()[one.index].max()),
            "diagnoses": list(found.diagnoses(one.index)),
            **_trigger_numbers(found, one.index, one.changed),
        }
        for name, found in one.whole.items()
    }


def _trigger_numbers(found: Attribution, index: int, mask: Bool[Tensor, "h w"] | None) -> dict[str, float]:
    """Share of a map's energy in the trigger grown by a cell, and what chance gives; nothing without a trigger."""
    if mask is None:
        return {}
    near = dilated(mask, found.placement.cell)
    return {"energy": float(layer_energy(found, near)[index]), "chance": float(near.float().mean())}


def _drawn(one: Explanation) -> dict[str, Attribution]:
    """All heat maps of an image, by layer, and by the title of the method where it explains the network as a whole."""
    return {**one.attributions, **{found.method: found for found in one.whole.values()}}


def _layer_numbers(cam: Attribution, index: int, drawing: Drawing, mask: Bool[Tensor, "h w"] | None) -> dict[str, Any]:
    totals = cam.contributions[index].sum((1, 2))
    strongest = totals.argsort(descending=True)[:STRONGEST].tolist()
    found: dict[str, Any] = {
        "number_of_feature_maps": len(totals),
        "cells": list(cam.cells),
        "maximum": float(cam.layer_map()[index].max()),
        "maximum_over_the_image": float(cam.heatmap()[index].max()),
        "strongest_feature_maps": [{"feature_map": k, "contribution": float(totals[k])} for k in strongest],
        "diagnoses": list(cam.diagnoses(index)),
        **_trigger_numbers(cam, index, mask),
    }
    if drawing.feature_maps:
        found["feature_maps"] = map_numbers(cam, index, mask, signed=drawing.signed)
    return found


def _draw(one: Explanation, stem: Path, drawing: Drawing) -> list[Path]:
    caption = figures.caption(one.logits, one.class_names, one.explained_class)
    drawn = {"layers": figures.layer_row(one.image, _drawn(one), one.index, caption=caption)}
    if drawing.feature_maps:
        for name, cam in one.attributions.items():
            drawn[name] = figures.feature_map_grid(
                one.image, cam, one.index, caption=caption, scale=drawing.scale, signed=drawing.signed
            )
    paths = []
    for name, figure in drawn.items():
        paths.append(stem.with_name(f"{stem.name}-{name.replace('/', '_')}.{drawing.format}"))
        figures.save(figure, paths[-1])
    return paths


def unique_stems(files: Sequence[Path]) -> list[str]:
    """A name for each file's figures: its stem, numbered where files share it (in any case: some systems do not tell).

    >>> unique_stems([Path("a/1.png"), Path("b/1.png"), Path("b/1-2.png")])
    ['1', '1-3', '1-2']
    """
    own = {file.stem.casefold() for file in files}
    taken: set[str] = set()
    stems = []
    for file in files:
        stem, number = file.stem, 1
        while stem.casefold() in taken or (number > 1 and stem.casefold() in own):
            number += 1
            stem = f"{file.stem}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems
