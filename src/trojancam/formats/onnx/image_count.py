"""The number of images that exporters bake into a graph, taken out of it again."""

import math
from collections.abc import Sequence

BATCHES = (2, 3)  # every step is tried on this many images; what differs between the two is their number


def free_shape(shapes: Sequence[tuple[int, ...]], wanted: list[int], batch: int, zero_is_zero: bool) -> list[int]:
    """The shape to give to tensors whose axis of images is free, from that for `batch` images in the file.

    `shapes` are those of the tensor for `BATCHES` images. Memory goes row by row, so the images are the axis before which
    there are as many elements as before theirs.

    >>> free_shape([(2, 8, 4, 4), (3, 8, 4, 4)], [1, 128], 1, False), free_shape([(2, 8), (3, 8)], [5, 2, -1], 5, False)
    ([-1, 128], [-1, 2, 4])
    """
    axis = next((place for place, (two, three) in enumerate(zip(*shapes, strict=True)) if two != three), None)
    if axis is None:
        return wanted
    extents = [extent * batch // BATCHES[0] if place == axis else extent for place, extent in enumerate(shapes[0])]
    full = _filled(extents, wanted, zero_is_zero)
    if full is None:
        return wanted
    before = math.prod(extents[:axis])
    for place, extent in enumerate(full):
        if math.prod(full[:place]) == before and extent % batch == 0:
            free = wanted[place] == -1 or (wanted[place] == 0 and place == axis and not zero_is_zero)
            return wanted if free else [*full[:place], -1, *full[place + 1 :]]
    return wanted


def _filled(extents: list[int], wanted: list[int], zero_is_zero: bool) -> list[int] | None:
    """The wanted shape without its 0 (the extent as it was) and -1 (whatever is left); None where it does not fit."""
    if zero_is_zero and 0 in wanted:
        return None
    if any(extent == 0 and place >= len(extents) for place, extent in enumerate(wanted)):
        return None
    full = [extents[place] if extent == 0 else extent for place, extent in enumerate(wanted)]
    known = math.prod(extent for extent in full if extent != -1)
    if known <= 0 or math.prod(extents) % known:
        return None
    full = [math.prod(extents) // known if extent == -1 else extent for extent in full]
    return full if math.prod(full) == math.prod(extents) else None


def free_expansion(shapes: Sequence[tuple[int, ...]], wanted: list[int]) -> list[int]:
    """The shape to expand to: an axis of images stays as long as it is.

    >>> free_expansion([(2, 1, 1), (3, 1, 1)], [7, 4, 4])
    [1, 4, 4]
    """
    short = len(wanted) - len(shapes[0])
    return [
        1 if place >= short and shapes[0][place - short] != shapes[1][place - short] else extent
        for place, extent in enumerate(wanted)
    ]
