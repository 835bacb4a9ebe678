"""Exports: a view of the page as a figure, or as JSON with all its numbers."""

import json
import threading
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from trojancam import figures
from trojancam.attribution import grad_cam
from trojancam.explore import answers
from trojancam.explore.session import Seen, Session
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject
from trojancam.explore.wire import unpacked
from trojancam.report.page import versions

DPI = 200
_drawing = threading.Lock()  # matplotlib's settings belong to the process


def as_json(session: Session, asked: AboutSubject) -> bytes:
    """The question, its answer with arrays as nested lists, and the versions that gave it.

    Raises:
        TrojanCamError: if there is no such subject.
    """
    answer = unpacked(ANSWERS[type(asked)](session, asked))
    document = {"versions": versions(), "asked": asked.model_dump(mode="json"), "answer": answer}
    return json.dumps(document, indent=1, allow_nan=False).encode()


def as_png(session: Session, asked: AboutSubject) -> bytes:
    """The view as a figure.

    Raises:
        TrojanCamError: if there is no such subject.
    """
    seen = session.seen(asked.subject)
    with _drawing:
        return figures.to_png_bytes(FIGURES[type(asked)](session, seen, asked), DPI)


def _layers(session: Session, seen: Seen, asked: AboutSubject) -> Figure:
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    words = figures.caption(recording.logits[0], seen.network.class_names, explained)
    return figures.layer_row(seen.image, grad_cam(recording), caption=words, mask=_mask(seen))


def _grid(session: Session, seen: Seen, asked: AboutSubject) -> Figure:
    assert isinstance(asked, AboutLayer)
    seen.network.layer(asked.layer)
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    words = figures.caption(recording.logits[0], seen.network.class_names, explained)
    cam = grad_cam(recording, [asked.layer])[asked.layer]
    return figures.feature_map_grid(seen.image, cam, mask=_mask(seen), signed=True, caption=words)


def _map(session: Session, seen: Seen, asked: AboutSubject) -> Figure:
    assert isinstance(asked, AboutMap)
    index = seen.network.feature_map(asked.layer, asked.map)
    recording, explained = answers.recording_of(session, seen, asked.subject.explain)
    words = figures.caption(recording.logits[0], seen.network.class_names, explained)
    heatmap = grad_cam(recording, [asked.layer])[asked.layer].feature_map_heatmaps(index)[0]
    detail = f"Grad-CAM of {asked.layer}, feature map {index}"
    return figures.overlay(seen.image, heatmap, caption=words, detail=detail, mask=_mask(seen))


def _stimulated(session: Session, seen: Seen, asked: AboutSubject) -> Figure:
    assert isinstance(asked, AboutStimulation)
    found, _ = answers.stimulated(session, seen, asked.wanted(), asked.subject.explain)
    names = seen.network.class_names
    before, after = (names[int(each.logits[0].argmax())] for each in (found.before, found.after))
    return figures.before_after(seen.image, found, caption=f"{before} → {after}")


def _mask(seen: Seen) -> Any:
    return None if seen.trigger is None else seen.trigger.support


ANSWERS: dict[type[AboutSubject], Callable[[Session, Any], answers.Answer]] = {
    AboutSubject: answers.explain,
    AboutLayer: answers.layer,
    AboutMap: answers.feature_map,
    AboutStimulation: answers.stimulate,
}
FIGURES: dict[type[AboutSubject], Callable[[Session, Seen, AboutSubject], Figure]] = {
    AboutSubject: _layers,
    AboutLayer: _grid,
    AboutMap: _map,
    AboutStimulation: _stimulated,
}
