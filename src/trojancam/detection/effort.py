"""Effort: how thoroughly a scan searches a network; the one place that says so, by the size of its images.

Every search, threshold and reference network was measured on small images. A run of the network costs about as much as it
has pixels, and the thorough searches need hundreds of thousands of runs: on large images they would take hours.
"""

from typing import Literal

Effort = Literal["thorough", "coarse"]
EFFORTS: tuple[Effort, ...] = ("thorough", "coarse")
LARGEST = 48  # pixels of an image's longer side: a larger one is searched coarsely, unless somebody wants it otherwise
USUAL = 32  # pixels along each side of the images that sizes and grids of the searches are told for
COARSE = (
    f"The images are larger than {LARGEST} pixels, so that the search was coarse: it tried fewer places, steps and images than "
    "the searches whose thresholds were measured, and what it does not find says less. The setting 'effort=thorough' of a "
    "method (--set METHOD.effort=thorough) searches as on small images, which may take hours."
)
ASKED = (
    "The search was coarse, as was asked for: it tried fewer places, steps and images than the searches whose thresholds were "
    "measured, and what it does not find says less."
)


def effort_for(image_size: tuple[int, int]) -> Effort:
    """How thoroughly images of this size are searched, unless somebody says otherwise.

    >>> effort_for((32, 48)), effort_for((224, 224))
    ('thorough', 'coarse')
    """
    return "coarse" if max(image_size) > LARGEST else "thorough"


def scale_of(image_size: tuple[int, int]) -> float:
    """How many times as large as the small images, along a side, images are: lengths grow with them, and L2 norms.

    >>> scale_of((224, 224))
    7.0
    """
    return float((image_size[0] * image_size[1]) ** 0.5 / USUAL)


def cells_of(image_size: tuple[int, int], cells: int) -> tuple[int, int]:
    """A grid of so many cells along each side, of no more than there are pixels.

    >>> cells_of((224, 20), 32)
    (32, 20)
    """
    return min(cells, image_size[0]), min(cells, image_size[1])
