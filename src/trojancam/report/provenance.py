"""Provenance: what a result was made from, so that somebody else can tell whether they have the same."""

import hashlib
from pathlib import Path

from trojancam.data.image_files import system_errors
from trojancam.text import as_text

CHUNK = 1 << 20


def file_facts(path: Path) -> dict[str, str]:
    """The name and the SHA-256 of a model file, as settings of a page.

    Raises:
        DataError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with system_errors(), path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return {"model": as_text(path.name), "model_sha256": digest.hexdigest()}
