"""Provenance: what a result was made from, so that somebody else can tell whether they have the same."""

import hashlib
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from trojancam.data.image_files import system_errors
from trojancam.files import digest
from trojancam.text import as_text


def file_facts(path: Path) -> dict[str, str]:
    """The name and the SHA-256 of a model file, as settings of a page.

    Raises:
        DataError: if it cannot be read.
    """
    with system_errors():
        return {"model": as_text(path.name), "model_sha256": digest(path)}


def images_fact(images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> str:
    """The SHA-256 of labelled images, as settings of a page: of their shape, their pixels in [0, 1] and their labels.

    The shape is written as in `8x3x32x32`, pixels follow as 32-bit floats and labels as 64-bit integers, the least byte first.

    >>> import torch
    >>> images_fact(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))[:16]
    '49e096dda39fbb8f'
    """
    found = hashlib.sha256("x".join(map(str, images.shape)).encode())
    found.update(images.detach().cpu().contiguous().numpy().astype("<f4", copy=False).tobytes())
    found.update(labels.detach().cpu().contiguous().numpy().astype("<i8", copy=False).tobytes())
    return found.hexdigest()
