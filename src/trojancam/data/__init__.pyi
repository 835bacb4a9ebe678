from . import (
    array_files,
    folders,
    framing,
    gtsrb_classes,
    gtsrb_files,
    image_files,
    image_set,
    layouts,
    listed,
    loading,
    places,
    prepared,
    read_cache,
    regions,
    rendered,
    tables,
)
from .folders import folder
from .gtsrb_classes import GTSRB_CLASS_NAMES, class_index
from .gtsrb_files import gtsrb
from .image_files import read_image, read_images
from .image_set import Dataset, ImageSet, as_floats
from .loading import load_dataset
from .rendered import render_images, render_objects, rendered_objects, rendered_signs

__all__ = [
    "GTSRB_CLASS_NAMES",
    "Dataset",
    "ImageSet",
    "array_files",
    "as_floats",
    "class_index",
    "folder",
    "folders",
    "framing",
    "gtsrb",
    "gtsrb_classes",
    "gtsrb_files",
    "image_files",
    "image_set",
    "layouts",
    "listed",
    "load_dataset",
    "loading",
    "places",
    "prepared",
    "read_cache",
    "read_image",
    "read_images",
    "regions",
    "render_images",
    "render_objects",
    "rendered",
    "rendered_objects",
    "rendered_signs",
    "tables",
]
