"""Explaining image files: heat maps of every layer and feature map as pictures and on a page, and the numbers behind them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from trojancam import figures
from trojancam.attacks.trigger import Trigger
from trojancam.attribution import Attribution, grad_cam
from trojancam.data.image_set import as_floats
from trojancam.data.images import image_files, read_image, read_images, system_errors
from trojancam.errors import DataError, unknown_name
from trojancam.evaluation.localisation import dilated, layer_energy
from trojancam.files import writable_folder
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.report.documents.document import without_nan
from trojancam.report.documents.explain import Explain, ExplainedImage
from trojancam.report.explain_page import SHOWN, explained_page, image_section
from trojancam.report.maps import map_numbers
from trojancam.report.page import Section, write_page

BATCH = 32
STRONGEST = 5
CLASSES = 3  # with the greatest logits


@dataclass(frozen=True)
class Options:
    """What to draw: which layers, single feature maps or not, which class (None: the predicted one), and how."""

    layers: tuple[str, ...] = ()
    feature_maps: bool = False
    target_class: int | None = None
    trigger: Trigger | None = None
    scale: str = "shared"
    signed: bool = False
    format: str = "png"


@dataclass(frozen=True)
class Explained:
    """What was found in one image: its record, and its part of the page, if it has one."""

    file: Path
    numbers: ExplainedImage
    section: Section | None = None


@dataclass(frozen=True)
class Explanations:
    """The images explained, those that could not be read, as lines `file: reason`, and the path of the page."""

    images: list[Explained]
    broken: tuple[str, ...]
    page: Path


def explain_files(
    network: Network,
    files: Sequence[Path],
    out: Path,
    options: Options,
    progress: Progress = silent,
    settings: dict[str, Any] | None = None,
) -> Explanations:
    """Draw the heat maps of image files into the folder `out`, and write the page and `results.json` beside them.

    `settings` are what else the page is to say of how it was made.

    Raises:
        DataError: if none of the files can be read.
        UnknownNameError: if the class, the scale or the format does not exist.
        TrojanCamError: if the folder cannot be written to.
    """
    _check(network, options)
    images, good, broken = _read(files, network.input)
    writable_folder(out)
    started, stems = time.perf_counter(), unique_stems(good)
    explained: list[Explained] = []
    for start in range(0, len(good), BATCH):
        batch = as_floats(images[start : start + BATCH])
        first = start if start < SHOWN else None
        for one in _explain_batch(network, batch, good[start : start + BATCH], stems[start:], out, options, first):
            explained.append(one)
            progress(len(explained), len(good), str(one.file))
    document = _document(network, explained, broken, options, settings or {}, time.perf_counter() - started)
    page = write_page(explained_page(document, [one.section for one in explained if one.section]), document, out)
    return Explanations(explained, broken, page)


def _document(
    network: Network,
    explained: Sequence[Explained],
    broken: Sequence[str],
    options: Options,
    settings: dict[str, Any],
    seconds: float,
) -> Explain:
    chosen = {
        "layers": list(options.layers or network.layers),
        "feature_maps": options.feature_maps,
        "target_class": options.target_class,
        "scale": options.scale,
        "signed": options.signed,
    }
    return Explain.of(
        command="explain",
        settings=settings | chosen,
        network=network.name,
        fingerprint=network.fingerprint,
        trigger=options.trigger.name if options.trigger else None,
        trigger_energy=_mean_energies(explained) if options.trigger else None,
        images=[one.numbers for one in explained],
        left_out=list(broken),
        seconds=round(seconds, 2),
    )


def _mean_energies(explained: Sequence[Explained]) -> dict[str, dict[str, float | None]]:
    """Each layer's mean share of energy in the trigger, a blank map counting as 0, beside what chance would give."""
    first = explained[0].numbers.layers
    shares = {name: [one.numbers.layers[name].energy or 0.0 for one in explained] for name in first}
    return {name: {"energy": sum(each) / len(each), "chance": first[name].chance} for name, each in shares.items()}


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and of each folder the image files in it.

    Raises:
        DataError: if a folder holds no image, or may not be read.
    """
    files: list[Path] = []
    for path in paths:
        with system_errors():
            found = image_files(path) if path.is_dir() else [path]
        if not found:
            raise DataError(f"the folder {path} holds no image; give image files, or a folder of them")
        files += found
    return files


def _read(
    files: Sequence[Path], shown: InputSpecification
) -> tuple[UInt8[Tensor, "n 3 h w"], tuple[Path, ...], tuple[str, ...]]:
    """As `read_images`; what is wrong with the only file is said in full, with the remedy."""
    if len(files) == 1:
        return read_image(files[0], shown.size, shown.crop)[None], (files[0],), ()
    return read_images(files, shown.size, shown.crop)


def _explain_batch(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    files: Sequence[Path],
    stems: Sequence[str],
    out: Path,
    options: Options,
    first: int | None,
) -> Iterator[Explained]:
    """The images of a batch, explained; `first` is the number of its first image, None if the page has room for none of them."""
    changed = options.trigger.changed(images) if options.trigger else None
    if options.trigger:
        images = options.trigger.apply(images)
    recording = record(network, images, logit(options.target_class), options.layers or None)
    cams = grad_cam(recording)
    for index, file in enumerate(files):
        mask = None if changed is None else changed[index]
        found = _numbers(network, recording, cams, index, options, mask)
        pictures = _draw(network, images[index], recording, cams, index, out / stems[index], options)
        drawn = [path.name for path in pictures]
        numbers = ExplainedImage.model_validate({"file": str(file), **without_nan(found), "figures": drawn})
        section = None
        if first is not None and first + index < SHOWN:
            section = image_section(numbers, images[index], cams, index, mask, options.scale, options.signed)
        yield Explained(file, numbers, section)


def _numbers(
    network: Network,
    recording: Recording,
    cams: dict[str, Attribution],
    index: int,
    options: Options,
    mask: Bool[Tensor, "h w"] | None,
) -> dict[str, Any]:
    """Prediction, explained class, and what is known of each layer and, where asked for, of each feature map."""
    logits = recording.logits[index]
    chances = logits.double().softmax(0)
    predicted = int(logits.argmax())
    explained = predicted if options.target_class is None else options.target_class
    best = logits.topk(min(CLASSES, len(logits))).indices.tolist()
    names = network.class_names
    return {
        "predicted_class": predicted,
        "predicted_name": names[predicted],
        "explained_class": explained,
        "explained_name": names[explained],
        "logit": float(logits[explained]),
        "probability": float(chances[explained]),
        "classes": [
            {"class": k, "name": names[k], "logit": float(logits[k]), "probability": float(chances[k])} for k in best
        ],
        "layers": {name: _layer_numbers(cam, index, options, mask) for name, cam in cams.items()},
    }


def _layer_numbers(cam: Attribution, index: int, options: Options, mask: Bool[Tensor, "h w"] | None) -> dict[str, Any]:
    totals = cam.contributions[index].sum((1, 2))
    strongest = totals.argsort(descending=True)[:STRONGEST].tolist()
    found: dict[str, Any] = {
        "number_of_feature_maps": len(totals),
        "cells": list(cam.cells),
        "maximum": float(cam.layer_map()[index].max()),
        "maximum_over_the_image": float(cam.heatmap()[index].max()),
        "strongest_feature_maps": [{"feature_map": k, "contribution": float(totals[k])} for k in strongest],
        "diagnoses": list(cam.diagnoses(index)),
    }
    if mask is not None:
        near = dilated(mask, cam.placement.cell)
        energy = float(layer_energy(cam, near)[index])
        found |= {"energy": energy, "chance": float(near.float().mean())}
    if options.feature_maps:
        found["feature_maps"] = map_numbers(cam, index, mask, signed=options.signed)
    return found


def _draw(
    network: Network,
    image: Float[Tensor, "3 h w"],
    recording: Recording,
    cams: dict[str, Attribution],
    index: int,
    stem: Path,
    options: Options,
) -> list[Path]:
    caption = figures.caption(recording.logits[index], network.class_names, options.target_class)
    drawn = {"layers": figures.layer_row(image, cams, index, caption=caption)}
    if options.feature_maps:
        for name, cam in cams.items():
            drawn[name] = figures.feature_map_grid(
                image, cam, index, caption=caption, scale=options.scale, signed=options.signed
            )
    paths = []
    for name, figure in drawn.items():
        paths.append(stem.with_name(f"{stem.name}-{name.replace('/', '_')}.{options.format}"))
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


def _check(network: Network, options: Options) -> None:
    if options.format not in figures.FORMATS:
        raise unknown_name("format", options.format, figures.FORMATS)
    if options.scale not in figures.SCALES:
        raise unknown_name("scale", options.scale, figures.SCALES)
    if options.trigger and options.trigger.image_size != network.input.size:
        raise DataError(
            f"the trigger is made for images of {options.trigger.image_size}, the network takes {network.input.size}"
        )
    if options.target_class is not None and not 0 <= options.target_class < len(network.class_names):
        raise unknown_name("class", options.target_class, range(len(network.class_names)))
    for name in options.layers:
        network.layer(name)
