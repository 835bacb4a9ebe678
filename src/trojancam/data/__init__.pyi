from . import (
    arrays,
    classes,
    folders,
    framing,
    gtsrb_files,
    image_set,
    images,
    layouts,
    listed,
    loading,
    prepared,
    read_cache,
    regions,
    rendered,
    tables,
)
from .classes import GTSRB_CLASS_NAMES, class_index
from .folders import folder
from .gtsrb_files import gtsrb
from .image_set import Dataset, ImageSet, as_floats
from .images import read_image, read_images
from .loading import load_dataset
from .rendered import render_images, rendered_signs

__all__ = [
    "GTSRB_CLASS_NAMES",
    "Dataset",
    "ImageSet",
    "arrays",
    "as_floats",
    "class_index",
    "classes",
    "folder",
    "folders",
    "framing",
    "gtsrb",
    "gtsrb_files",
    "image_set",
    "images",
    "layouts",
    "listed",
    "load_dataset",
    "loading",
    "prepared",
    "read_cache",
    "read_image",
    "read_images",
    "regions",
    "render_images",
    "rendered",
    "rendered_signs",
    "tables",
]
