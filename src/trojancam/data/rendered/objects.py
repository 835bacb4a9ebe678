"""Rendered objects: a data set of 20 kinds of things before parts of photographs, of 16 to 512 pixels, that needs no download."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.rendered.balanced import (
    Kinds,
    Report,
    check_counts,
    check_drawing,
    check_labels,
    in_chunks,
    train_and_test,
)
from trojancam.data.rendered.camera import boxes, photograph
from trojancam.data.rendered.designs import OBJECT_NAMES, object_outlines, object_templates
from trojancam.data.rendered.photographs import BACKDROPS, check_installed, part
from trojancam.data.rendered.scenes import POSES, Shots, Table, dirt_bank, draw_shots, grain_bank, rotation
from trojancam.data.rendered.surfaces import Looks, draw_looks, painted, textures
from trojancam.progress import Progress, silent

_CLASSES = len(OBJECT_NAMES)
_KINDS = Kinds("objects", _CLASSES, per_track=4)  # fewer than of signs: designs, colours and backdrops are many
_WIDER = 1.3  # parts of photographs are that much wider than those of the textures behind signs


def rendered_objects(
    train: int = 16_000, test: int = 4_000, size: int = 64, seed: int = 0, progress: Progress = silent
) -> Dataset:
    """A training and a test set of 20 kinds of objects, each of two or three designs, every class equally often.

    Objects are drawn by this package. Their surfaces and what is behind them are parts of the photographs that come with
    scikit-image, drawn for each object whatever its class. A track is one object, as in `rendered_signs`: about four images
    share its design, colours, texture, light and backdrop, and differ in distance, place and sharpness.

    Raises:
        DataError: if a number of images is negative, `size` or `seed` is out of range, or scikit-image (the extra `objects`)
            is not installed.

    >>> dataset = rendered_objects(train=40, test=20)
    >>> dataset.train.images.shape, len(dataset.test.labels.unique()), dataset.train.class_names[:3]
    (torch.Size([40, 3, 64, 64]), 20, ('apple', 'arrow', 'book'))
    """
    check_counts(train, test)
    check_drawing(size, seed)
    check_installed()
    sets = train_and_test(train, test, _KINDS, seed, partial(_render, size), progress)
    return Dataset(*sets, f"rendered objects, seed {seed}")


def render_objects(
    labels: Int64[Tensor, " n"] | Sequence[int],
    seed: int = 0,
    size: int = 64,
    *,
    tracks: Int64[Tensor, " n"] | Sequence[int] | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """One image of each of these classes, in this order; each shows an object of its own unless `tracks` says otherwise.

    The first images do not depend on how many follow.

    Raises:
        DataError: if a label is not 0 to 19, lists differ in length, `size` or `seed` is out of range, or scikit-image is not
            installed.

    >>> images = render_objects([4, 7], seed=1, size=96)
    >>> images.images.shape, [images.class_names[label] for label in images.labels]
    (torch.Size([2, 3, 96, 96]), ['bulb', 'fish'])
    """
    check_drawing(size, seed)
    classes = torch.as_tensor(labels, dtype=torch.int64)
    shown = torch.arange(len(classes)) if tracks is None else torch.as_tensor(tracks, dtype=torch.int64)
    check_labels(classes, shown, _CLASSES)
    check_installed()
    return _render(size, classes, shown, seed, lambda done: progress(done, len(classes), "rendering objects"))


def _render(size: int, labels: Int64[Tensor, " n"], tracks: Int64[Tensor, " n"], seed: int, report: Report) -> ImageSet:
    """Draw everything at random first, then take the photographs in chunks, as those of signs."""
    shots = _of_objects(draw_shots(tracks, seed), tracks, seed)
    looks = draw_looks(labels, tracks, seed)
    dirt, grain = dirt_bank(seed), grain_bank(seed, 12 * size * size + (1 << 17))
    whole = torch.tensor([1.0, 1.0, 0.5, 0.5])

    def draw(chosen: slice) -> tuple[Tensor, Tensor]:
        some, look = shots.rows(chosen), looks.rows(chosen)
        objects = painted(object_templates(2 * size)[look.design], look, textures(look, size))
        lit = replace(
            some, crop=whole.expand(len(some), 4), background_light=some.background_light * look.backdrop_tint
        )
        pixels = photograph(lit, objects, _scenery(some, look, size), dirt, grain, size=size)
        return pixels, boxes(some, object_outlines()[look.design], size)

    images, regions = in_chunks(len(labels), size, draw, report)
    return ImageSet(images, labels, OBJECT_NAMES, tracks, regions)


def _of_objects(shots: Shots, tracks: Int64[Tensor, " n"], seed: int) -> Shots:
    """The same scenes for objects: on no pole, turned further, nearer or farther, beside the middle, in better light, sharper."""
    numbers, object_of_image = np.unique(tracks.numpy(), return_inverse=True)
    table = Table(seed, POSES, len(numbers), object_of_image)
    turned = rotation(np.clip(table.normal(0.2), -0.6, 0.6), 2)
    scale = table.uniform(0.8, 1.05) * np.where(table.uniform() < 0.5, 1.0, -1.0)
    turned[:, :, 0] *= scale[:, None]  # negative: mirrored
    turned[:, :, 1] *= np.abs(scale)[:, None]
    moved = np.tile(np.eye(3), (len(tracks), 1, 1))
    moved[:, 0, 2], moved[:, 1, 2] = table.normal(0.03), table.normal(0.03)
    homography = torch.from_numpy(moved @ shots.homography.double().numpy() @ turned).float()
    return replace(
        shots,
        homography=homography,
        pole=torch.zeros_like(shots.pole),
        neighbour=torch.zeros_like(shots.neighbour),
        light=1.25 * shots.light**0.4,
        faded=0.5 * shots.faded,
        dirt=0.5 * shots.dirt,
        haze=shots.haze * torch.tensor([0.5, 1.0]),
        sign_light=shots.sign_light**0.5,
        blur=0.55 * shots.blur,
        fringe=0.5 * shots.fringe,
        resolution=shots.resolution.clamp(max=1),
    )


def _scenery(shots: Shots, looks: Looks, size: int) -> UInt8[Tensor, "n 3 size size"]:
    """What is behind each object: so far away that some of its contrast is gone."""
    found = []
    for backdrop, (width, _, x, y) in zip(shots.backdrop.tolist(), shots.crop.tolist(), strict=True):
        name = BACKDROPS[int(backdrop * len(BACKDROPS))]
        found.append(part(name, (x, y), _WIDER * abs(width), size, mirrored=width < 0))
    sharp = torch.from_numpy(np.stack(found)).float()
    middle = sharp.mean(dim=(2, 3), keepdim=True)
    return (middle + looks.backdrop_depth[:, None, None, None] * (sharp - middle)).round().to(torch.uint8)
