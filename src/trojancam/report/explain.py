"""Explaining image files: heat maps of every layer and feature map as pictures, and the numbers behind them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from trojancam import figures
from trojancam.attribution import Attribution, grad_cam
from trojancam.caching import writable_folder
from trojancam.data.image_set import as_floats
from trojancam.data.images import image_files, read_image, read_images, system_errors
from trojancam.errors import DataError, unknown_name
from trojancam.network import Network
from trojancam.progress import Progress, silent
from trojancam.recording import Recording, record
from trojancam.report.page import write_results
from trojancam.targets import logit
from trojancam.triggers import Trigger

BATCH = 32
STRONGEST = 5


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
    """What was found in one image: numbers for JSON, and the figures that were written."""

    file: Path
    numbers: dict[str, Any]
    pictures: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Explanations:
    """The images explained, and those that could not be read, as lines `file: reason`."""

    images: list[Explained]
    broken: tuple[str, ...]


def explain_files(
    network: Network, files: Sequence[Path], out: Path, options: Options, progress: Progress = silent
) -> Explanations:
    """Draw the heat maps of image files into the folder `out` and write `results.json` beside them.

    Raises:
        DataError: if none of the files can be read.
        UnknownNameError: if the class, the scale or the format does not exist.
        TrojanCamError: if the folder cannot be written to.
    """
    _check(network, options)
    images, good, broken = _read(files, network.input.size[0])
    writable_folder(out)
    stems = unique_stems(good)
    explained: list[Explained] = []
    for start in range(0, len(good), BATCH):
        batch = as_floats(images[start : start + BATCH])
        for one in _explain_batch(network, batch, good[start : start + BATCH], stems[start:], out, options):
            explained.append(one)
            progress(len(explained), len(good), str(one.file))
    results = {
        "command": "explain",
        "network": network.name,
        "trigger": options.trigger.name if options.trigger else None,
        "images": [one.numbers | {"figures": [path.name for path in one.pictures]} for one in explained],
        "left_out": list(broken),
    }
    write_results(results, out)
    return Explanations(explained, broken)


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


def _read(files: Sequence[Path], size: int) -> tuple[UInt8[Tensor, "n 3 h w"], tuple[Path, ...], tuple[str, ...]]:
    """As `read_images`; what is wrong with the only file is said in full, with the remedy."""
    if len(files) == 1:
        return read_image(files[0], size)[None], (files[0],), ()
    return read_images(files, size)


def _explain_batch(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    files: Sequence[Path],
    stems: Sequence[str],
    out: Path,
    options: Options,
) -> Iterator[Explained]:
    if options.trigger:
        images = options.trigger.stamp(images)
    recording = record(network, images, logit(options.target_class), options.layers or None)
    cams = grad_cam(recording)
    for index, file in enumerate(files):
        numbers = _numbers(network, recording, cams, index, options.target_class)
        pictures = _draw(network, images[index], recording, cams, index, out / stems[index], options)
        yield Explained(file, {"file": str(file)} | numbers, pictures)


def _numbers(
    network: Network, recording: Recording, cams: dict[str, Attribution], index: int, target_class: int | None
) -> dict[str, Any]:
    """Prediction, explained class, and each layer's strongest feature maps."""
    logits = recording.logits[index]
    predicted = int(logits.argmax())
    explained = predicted if target_class is None else target_class
    return {
        "predicted_class": predicted,
        "predicted_name": network.class_names[predicted],
        "explained_class": explained,
        "explained_name": network.class_names[explained],
        "logit": float(logits[explained]),
        "probability": float(logits.softmax(0)[explained]),
        "layers": {name: _layer_numbers(cam, index) for name, cam in cams.items()},
    }


def _layer_numbers(cam: Attribution, index: int) -> dict[str, Any]:
    totals = cam.contributions[index].sum((1, 2))
    strongest = totals.argsort(descending=True)[:STRONGEST].tolist()
    return {
        "maximum": float(cam.layer_map()[index].max()),
        "strongest_feature_maps": [{"feature_map": k, "contribution": float(totals[k])} for k in strongest],
    }


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
    if options.trigger and options.trigger.size != network.input.size:
        raise DataError(
            f"the trigger is made for images of {options.trigger.size}, the network takes {network.input.size}"
        )
    if options.target_class is not None and not 0 <= options.target_class < len(network.class_names):
        raise unknown_name("class", options.target_class, range(len(network.class_names)))
    for name in options.layers:
        network.layer(name)
