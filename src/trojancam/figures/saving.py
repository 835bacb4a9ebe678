"""Figures as files: PNG, SVG or PDF, whole or absent, and the same bytes for the same figure."""

import base64
import io
from pathlib import Path
from typing import BinaryIO

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from trojancam.errors import unknown_name
from trojancam.files import written_whole

# What a writer would add of its own accord and that changes from run to run, or from version to version.
_NO_METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
FORMATS = tuple(_NO_METADATA)
"""The kinds of files that a figure can be saved as."""


def save(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`; folders that are missing are made.

    Raises:
        UnknownNameError: if the suffix is none of these.
        TrojanCamError: if the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _NO_METADATA:
        raise unknown_name("kind of figure file", path.suffix, [f".{known}" for known in _NO_METADATA])
    with written_whole(path) as partial, partial.open("wb") as stream:
        _write(figure, stream, kind, dpi)


def to_png_bytes(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    _write(figure, stream, "png", dpi)
    return stream.getvalue()


def labels_of(figure: Figure) -> str:
    """All words in a figure, a label a line."""
    return "\n".join(
        words for each in figure.findobj(Text) if isinstance(each, Text) and (words := each.get_text().strip())
    )


def to_data_uri(figure: Figure, dpi: int = 100) -> str:
    """A figure as a `data:` address, to embed in a page."""
    return f"data:image/png;base64,{base64.b64encode(to_png_bytes(figure, dpi)).decode()}"


def _write(figure: Figure, stream: io.BytesIO | BinaryIO, kind: str, dpi: int) -> None:
    # PDF: whole fonts (type 42), which publishers ask for. SVG: identifiers that do not depend on chance.
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "trojancam"}):
        figure.savefig(stream, format=kind, dpi=dpi, metadata=_NO_METADATA[kind])
