"""Answers: what the library says of a subject, as a page takes it; each number is the one that the public functions give."""

import time
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.attribution.preferences import preferred_image
from trojancam.data.image_set import as_floats
from trojancam.errors import DataError
from trojancam.evaluation.localisation import dilated, feature_map_energy, layer_energy
from trojancam.explore.models import Model
from trojancam.explore.session import Seen, Session
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject, MapChoice
from trojancam.explore.wire import array, atlas, number, picture
from trojancam.network.recording import Recording, record
from trojancam.network.replay import replay
from trojancam.network.targets import logit
from trojancam.stimulation import Stimulated, Stimulation
from trojancam.stimulation.stimulating import PREDICTED, edited_once, recorded_from

Answer = dict[str, Any]

STRONGEST = 12  # images that excite a feature map, shown of all


def explain(session: Session, asked: AboutSubject) -> Answer:
    """Prediction, logits, and the heat map of every layer.

    Raises:
        TrojanCamError: if there is no such subject.
    """
    started = time.perf_counter()
    seen = session.seen(asked.subject)
    recording, explained = recording_of(session, seen, asked.subject.explain)
    return {
        "image": picture(seen.image),
        "label": seen.label,
        **_answered(recording.logits[0]),
        "explained": explained,
        "layers": [_layer(seen, name, cam) for name, cam in seen.cams(recording).items()],
        "seconds": time.perf_counter() - started,
    }


def layer(session: Session, asked: AboutLayer) -> Answer:
    """Every feature map of a layer: signed contributions in cells, weights, peaks, energy in the trigger, success rates.

    Raises:
        TrojanCamError: if there is no such subject or layer.
    """
    started = time.perf_counter()
    seen = session.seen(asked.subject)
    chosen = seen.network.layer(asked.layer)
    recording, explained = recording_of(session, seen, asked.subject.explain)
    cam = seen.cams(recording, [asked.layer])[asked.layer]
    near, rates = near_trigger(seen, cam), success_rates(session, seen.model, asked.layer, chosen.feature_maps)
    return {
        "explained": explained,
        "contributions": array(cam.contributions[0]),
        "weights": array(cam.weights[0]),
        "peaks": array(recording.layers[asked.layer].activations[0].amax((1, 2))),
        "energy": None if near is None else array(feature_map_energy(cam, near)[0]),
        "chance": None if near is None else float(near.float().mean()),
        "asr": None if rates is None else array(rates),
        "layer_map": array(cam.layer_map()[0]),
        "scale": float(cam.contributions.abs().amax()),
        "diagnoses": list(cam.diagnoses(0)),
        "seconds": time.perf_counter() - started,
    }


def feature_map(session: Session, asked: AboutMap) -> Answer:
    """One feature map, large: activations, contributions, its heat map, and how strong it is beside clean images.

    Raises:
        TrojanCamError: if there is no such subject, layer or feature map.
    """
    started = time.perf_counter()
    seen = session.seen(asked.subject)
    index = seen.network.feature_map(asked.layer, asked.map)
    recording, explained = recording_of(session, seen, asked.subject.explain)
    cam = seen.cams(recording, [asked.layer])[asked.layer]
    activations, heatmap = recording.layers[asked.layer].activations[0, index], cam.feature_map_heatmaps(index)
    near, peaks = near_trigger(seen, cam), session.peaks(seen.model)[asked.layer]
    return {
        "explained": explained,
        "activations": array(activations),
        "contributions": array(cam.contributions[0, index]),
        "heatmap": array(heatmap[0]),
        "weight": float(cam.weights[0, index]),
        "peak": float(activations.amax()),
        "clean_peak": float(peaks[index]),
        "layer_peak": float(peaks.amax()),
        "energy": None if near is None else number(feature_map_energy(cam, near)[0, index]),
        "chance": None if near is None else float(near.float().mean()),
        "asr": session.success_rates.get(seen.model.identifier, {}).get(asked.layer, {}).get(index),
        "seconds": time.perf_counter() - started,
    }


def stimulate(session: Session, asked: AboutStimulation) -> Answer:
    """What a stimulation does to one image: logits and heat maps of this layer and all later ones, before and after.

    Raises:
        TrojanCamError: if there is no such subject, or the stimulation does not fit it.
    """
    started = time.perf_counter()
    seen = session.seen(asked.subject)
    found, explained = stimulated(session, seen, asked.wanted(), asked.subject.explain)
    before = heatmaps_of(session, seen, explained)
    return {
        "before": _answered(found.before.logits[0]),
        "after": _answered(found.after.logits[0]),
        "explained": explained,
        "layers": [_changed(name, before[name], cam) for name, cam in seen.cams(found.after).items()],
        "cells": list(seen.network.layer(found.layer).size),
        "seconds": time.perf_counter() - started,
    }


def strongest(session: Session, asked: MapChoice) -> Answer:
    """The test images that excite a feature map most, strongest first, with the activation that each reaches.

    Raises:
        TrojanCamError: if there is no such model, layer or feature map.
    """
    started = time.perf_counter()
    model = session.model(asked.model)
    index = model.network.feature_map(asked.layer, asked.map)
    peaks = image_peaks(session, model, asked.layer)[:, index]
    chosen = peaks.argsort(descending=True, stable=True)[:STRONGEST].tolist()
    return {
        "images": [
            {"index": number, "label": int(model.images.labels[number]), "peak": float(peaks[number])}
            for number in chosen
        ],
        "tile": list(model.images.size),
        "atlas": atlas(model.images.images[chosen]),
        "of": len(peaks),
        "seconds": time.perf_counter() - started,
    }


def preferred(session: Session, asked: MapChoice) -> Answer:
    """An image that a feature map prefers, by gradient ascent from noise; where noise leaves it silent, from a test image.

    Raises:
        TrojanCamError: if there is no such model, layer or feature map, or nothing excites it.
    """
    started = time.perf_counter()
    network, model = session.model(asked.model).network, session.model(asked.model)
    index = network.feature_map(asked.layer, asked.map)

    def made() -> Tensor:
        try:
            return preferred_image(network, asked.layer, index)
        except DataError:
            first = int(image_peaks(session, model, asked.layer)[:, index].argmax())
            return preferred_image(
                network, asked.layer, index, start=as_floats(model.images.images[first : first + 1])[0]
            )

    image = session.cache.get((model.identifier, "preferred", asked.layer, index), made)
    with torch.no_grad():
        logits, (activations,) = network.forward_with(network.inputs(image[None]), (asked.layer,))
    return {
        "image": picture(image),
        **_answered(logits[0]),
        "peak": float(activations[0, index].amax()),
        "clean_peak": float(session.peaks(model)[asked.layer][index]),
        "seconds": time.perf_counter() - started,
    }


def image_peaks(session: Session, model: Model, layer: str) -> Float[Tensor, "n k"]:
    """How far each test image drives each feature map of a layer."""
    return session.cache.get((model.identifier, "image peaks", layer), lambda: model.image_peaks(layer))


def recording_of(session: Session, seen: Seen, explain: int | None) -> tuple[Recording, int]:
    """All layers of what is seen, for the logit of a class (None: of the one predicted), and that class."""
    if explain is None:
        explain = session.cache.get((*seen.key, "predicted"), lambda: int(seen.network(seen.image[None]).argmax()))
    target = logit(explain)
    made = session.cache.get((*seen.key, "recording", explain), lambda: record(seen.network, seen.image[None], target))
    return made, explain


def heatmaps_of(session: Session, seen: Seen, explain: int) -> dict[str, Float[Tensor, "height width"]]:
    """The heat map of every layer for a class, kept apart from recordings, which are large."""

    def made() -> dict[str, Tensor]:
        recording, _ = recording_of(session, seen, explain)
        return {name: cam.heatmap()[0] for name, cam in seen.cams(recording).items()}

    return session.cache.get((*seen.key, "heat maps", explain, seen.method), made)


def stimulated(session: Session, seen: Seen, stimulation: Stimulation, explain: int | None) -> tuple[Stimulated, int]:
    """As `trojancam.stimulate`, with what comes before the layer kept, and units that count in peaks of clean test images.

    The class explained is the one given, else the one predicted when stimulated.

    Raises:
        TrojanCamError: if the stimulation does not fit the network.
    """
    network, name = seen.network, stimulation.check(seen.network).name
    later = network.layers_after(name)
    with seen.model.making:
        network.cut(name, record=later)
    clean = session.cache.get((*seen.key, "before", name), lambda: replay(network, name, seen.image[None], later))
    peaks = clean.peaks() if stimulation.unit == "absolute" else session.peaks(seen.model)[name]
    target = PREDICTED if explain is None else logit(explain)
    with torch.inference_mode(False):
        edited = edited_once(network, clean, (stimulation,), peaks)
        after = recorded_from(network, name, clean, edited, later, target)
    explained = int(after.logits.argmax()) if explain is None else explain
    before, _ = recording_of(session, seen, explained)
    return Stimulated((stimulation,), before, after, peaks), explained


def _answered(logits: Float[Tensor, " classes"]) -> Answer:
    return {
        "logits": logits.tolist(),
        "probabilities": logits.softmax(0).tolist(),
        "predicted": int(logits.argmax()),
    }


def _layer(seen: Seen, name: str, cam: Attribution) -> Answer:
    near, heatmap = near_trigger(seen, cam), cam.heatmap()[0]
    peak = float(heatmap.amax())
    return {
        "name": name,
        "heatmap": array(heatmap),
        "peak": peak,
        "energy": None if near is None else number(layer_energy(cam, near)[0]),
        "chance": None if near is None else float(near.float().mean()),
        "blank": cam.blank_reason(0) if peak <= 0 else "",
        "diagnoses": list(cam.diagnoses(0)),
    }


def _changed(name: str, before: Float[Tensor, "height width"], cam: Attribution) -> Answer:
    after = cam.heatmap()[0]
    return {
        "name": name,
        "before": array(before),
        "after": array(after),
        "difference": array(after - before),
        "peak": max(float(before.amax()), float(after.amax())),
        "blank": cam.blank_reason(0) if float(after.amax()) <= 0 else "",
    }


def near_trigger(seen: Seen, cam: Attribution) -> Bool[Tensor, "height width"] | None:
    """The trigger, grown by one cell of the layer: a map cannot be more precise than its cells."""
    return None if seen.trigger is None else dilated(seen.trigger.place, cam.placement.cell)


def success_rates(session: Session, model: Model, name: str, count: int) -> Float[Tensor, " k"] | None:
    """The rates that a scan measured for feature maps of a layer, NaN for those it did not look at; None without a scan."""
    if model.identifier not in session.success_rates:
        return None
    rates = torch.full((count,), torch.nan)
    for index, rate in session.success_rates[model.identifier].get(name, {}).items():
        rates[index] = rate
    return rates
