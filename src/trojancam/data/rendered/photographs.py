"""Parts of real photographs: the sample images that lie inside the package scikit-image. Nothing is downloaded."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from trojancam.errors import DataError, Remedy

BACKDROPS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "grass.png", "gravel.png", "ihc.png", "moon.png", "rocket.jpg",
)  # fmt: skip
"""What objects stand before; none of it shows one of the classes, as the cup of coffee and the motorcycle's wheels would."""

SURFACES = (
    *BACKDROPS,
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "page.png",
    "text.png",
)
"""What gives objects their texture: parts so small that they show no thing."""


def check_installed() -> None:
    """Refuse where there are no photographs.

    Raises:
        DataError: if scikit-image is not installed.
    """
    _folder()


def part(name: str, centre: tuple[float, float], width: float, size: int, mirrored: bool) -> UInt8[np.ndarray, "3 s s"]:
    """A square of a photograph, `width` of its shorter side, on `size` pixels; `centre` in [0, 1], as far as it fits.

    >>> part("brick.png", (0.5, 0.5), 0.25, 64, mirrored=False).shape
    (3, 64, 64)
    """
    image = _photograph(name)
    side = min(image.size) * min(width, 1.0)
    left, top = (min(max(c * whole - side / 2, 0), whole - side) for c, whole in zip(centre, image.size, strict=True))
    box = (left, top, left + side, top + side)
    cut = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.ascontiguousarray((cut[:, ::-1] if mirrored else cut).transpose(2, 0, 1))


@cache
def _photograph(name: str) -> Image.Image:
    path = _folder() / name
    if not path.is_file():
        raise DataError(f"the installed scikit-image lacks its sample image {name}; install another version of it")
    return Image.open(path).convert("RGB")


def _folder() -> Path:
    # Found, not imported: that takes a second, and its own way to these images may download others.
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise DataError("rendered objects need the extra 'objects'", Remedy.INSTALL, detail="'trojancam[objects]'")
    return Path(found.submodule_search_locations[0]) / "data"
