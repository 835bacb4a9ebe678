"""Images and labels: GTSRB, rendered signs, image folders; and how a set is split."""

from typing import TYPE_CHECKING, Any

from trojancam.data.classes import GTSRB_CLASS_NAMES, class_index
from trojancam.data.folder import folder
from trojancam.data.gtsrb import gtsrb
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.data.images import read_image, read_images
from trojancam.data.loading import load_dataset

if TYPE_CHECKING:
    from trojancam.data.rendered import render_images, rendered_signs

__all__ = [
    "GTSRB_CLASS_NAMES",
    "Dataset",
    "ImageSet",
    "as_floats",
    "class_index",
    "folder",
    "gtsrb",
    "load_dataset",
    "read_image",
    "read_images",
    "render_images",
    "rendered_signs",
]


def __getattr__(name: str) -> Any:
    """The rendered signs are imported when they are first used: drawing is not needed to read images."""
    if name in ("render_images", "rendered_signs"):
        from trojancam.data import rendered

        return getattr(rendered, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
