"""Exports: a view of the page as a figure, drawn as the page draws it, or as JSON with all its numbers."""

import json
import math
import threading
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.attribution import Attribution
from trojancam.errors import DataError
from trojancam.evaluation.localisation import feature_map_energy
from trojancam.explore import answers
from trojancam.explore.session import Seen, Session
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject, ViewRequest
from trojancam.explore.wire import unpacked
from trojancam.figures.captions import DOT, ZERO
from trojancam.network.recording import Recording
from trojancam.report.documents.document import versions

DPI = 200
SCALES = {"shared": "shared", "own": "each"}  # the page's words, and the figures'
SORTED = {
    "contribution": "strongest contribution first",
    "energy": "most energy in the trigger first",
    "peak": "highest activation first",
    "asr": "highest ASR in the scan first",
}
_drawing = threading.Lock()  # matplotlib's settings belong to the process


def as_json(session: Session, view: ViewRequest) -> bytes:
    """The question, its answer with arrays as nested lists, and the versions that gave it.

    Raises:
        TrojanCamError: if there is no such subject.
    """
    asked = view.about()
    answer = unpacked(ANSWERS[type(asked)](session, asked))
    document = {"versions": versions(), "asked": asked.model_dump(mode="json"), "answer": answer}
    return json.dumps(document, indent=1, allow_nan=False).encode()


def as_png(session: Session, view: ViewRequest) -> bytes:
    """The view as a figure.

    Raises:
        TrojanCamError: if there is no such subject, or nothing of it is to be drawn.
    """
    asked = view.about()
    seen = session.seen(asked.subject)
    with _drawing:
        return figures.to_png_bytes(FIGURES[type(asked)](session, seen, asked, view), DPI)


def shown_maps(measured: Tensor | None, contributions: Tensor, blanks: bool) -> list[int]:
    """The feature maps that the page shows, greatest measure first and those without one last; in order without a measure.

    >>> import torch
    >>> shown_maps(torch.tensor([1.0, torch.nan, 3.0]), torch.tensor([0.5, 1.0, 0.0]), blanks=True)
    [2, 0, 1]
    >>> shown_maps(None, torch.tensor([0.5, 1.0, 0.0]), blanks=False)
    [0, 1]
    """
    numbers = [k for k, each in enumerate(contributions.tolist()) if blanks or each > ZERO]
    if measured is None:
        return numbers
    ranks = [-math.inf if math.isnan(each) else each for each in measured.tolist()]
    return sorted(numbers, key=lambda k: -ranks[k])


def _layers(session: Session, seen: Seen, asked: AboutSubject, view: ViewRequest) -> Figure:
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    words = figures.caption(recording.logits[0], seen.network.class_names, explained)
    cams = seen.cams(recording)
    return figures.layer_row(seen.image, cams, caption=words, mask=_mask(seen), shared=view.layers == "shared")


def _grid(session: Session, seen: Seen, asked: AboutSubject, view: ViewRequest) -> Figure:
    assert isinstance(asked, AboutLayer)
    seen.network.layer(asked.layer)
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    cam = seen.cams(recording, [asked.layer])[asked.layer]
    values = cam.contributions[0].abs() if view.signed else cam.contributions[0].relu()
    contributions = values.amax((1, 2))
    measured = _measure(session, seen, asked.layer, recording, cam, view.sort, contributions)
    maps = shown_maps(measured, contributions, view.blanks)
    if not maps:
        raise DataError(f"all feature maps of {asked.layer} are blank here, and hidden; show blank ones, too")
    words = [figures.caption(recording.logits[0], seen.network.class_names, explained)]
    words += [] if measured is None else [SORTED[view.sort]]
    hidden = len(contributions) - len(maps)
    words += [f"{hidden} blank {'map' if hidden == 1 else 'maps'} hidden"] if hidden else []
    return figures.feature_map_grid(
        seen.image,
        cam,
        scale=SCALES[view.scale],
        signed=view.signed,
        overlay=view.tiles == "image",
        maps=maps,
        mask=_mask(seen),
        caption=DOT.join(words),
    )


def _measure(
    session: Session, seen: Seen, layer: str, recording: Recording, cam: Attribution, sort: str, contributions: Tensor
) -> Tensor | None:
    """What the feature maps of a layer are sorted by; None by their numbers, as where it was not measured."""
    if sort == "contribution":
        return contributions
    if sort == "peak":
        return recording.layers[layer].activations[0].amax((1, 2))
    if sort == "asr":
        return answers.success_rates(session, seen.model, layer, len(contributions))
    near = answers.near_trigger(seen, cam) if sort == "energy" else None
    return None if near is None else feature_map_energy(cam, near)[0]


def _map(session: Session, seen: Seen, asked: AboutSubject, view: ViewRequest) -> Figure:
    assert isinstance(asked, AboutMap)
    index = seen.network.feature_map(asked.layer, asked.map)
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    words = figures.caption(recording.logits[0], seen.network.class_names, explained)
    cam = seen.cams(recording, [asked.layer])[asked.layer]
    place = f"{asked.layer}, feature map {index}"
    if view.shows == "heatmap":
        heatmap = cam.feature_map_heatmaps(index)[0]
        return figures.overlay(seen.image, heatmap, caption=words, detail=f"{seen.title} of {place}", mask=_mask(seen))
    if view.shows == "contributions":
        detail, values = f"Contribution of {place}", cam.contributions[0, index]
        return figures.cell_map(seen.image, values, caption=words, detail=detail, mask=_mask(seen), signed=True)
    detail, values = f"Activations of {place}", recording.layers[asked.layer].activations[0, index].detach()
    return figures.cell_map(seen.image, values, caption=words, detail=detail, mask=_mask(seen))


def _stimulated(session: Session, seen: Seen, asked: AboutSubject, _: ViewRequest) -> Figure:
    assert isinstance(asked, AboutStimulation)
    found, _explained = answers.stimulated(session, seen, asked.wanted(), asked.subject.explain)
    names = seen.network.class_names
    before, after = (names[int(each.logits[0].argmax())] for each in (found.before, found.after))
    return figures.before_after(seen.image, found, caption=f"{before} → {after}", method=seen.method)


def _mask(seen: Seen) -> Any:
    return None if seen.trigger is None else seen.trigger.place


ANSWERS: dict[type[AboutSubject], Callable[[Session, Any], answers.Answer]] = {
    AboutSubject: answers.explain,
    AboutLayer: answers.layer,
    AboutMap: answers.feature_map,
    AboutStimulation: answers.stimulate,
}
FIGURES: dict[type[AboutSubject], Callable[[Session, Seen, AboutSubject, ViewRequest], Figure]] = {
    AboutSubject: _layers,
    AboutLayer: _grid,
    AboutMap: _map,
    AboutStimulation: _stimulated,
}
