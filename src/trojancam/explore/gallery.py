"""Gallery: test images as a sheet of small pictures, a page at a time, of one class or of all."""

from typing import Annotated, Any

from pydantic import Field

from trojancam.errors import unknown_name
from trojancam.explore.session import Session
from trojancam.explore.subjects import Identifier, Split
from trojancam.explore.wire import atlas
from trojancam.records import Record

MOST = 400  # images on a page


class GalleryRequest(Record):
    """Which images are wanted: some of those of one class (None: of all), by their order in the data."""

    model: Identifier
    split: Split = "test"
    start: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=1, le=MOST)] = 60
    label: Annotated[int, Field(ge=0)] | None = None


def gallery(session: Session, asked: GalleryRequest) -> dict[str, Any]:
    """Numbers and labels of the images, and all of them as one picture, ten in a row.

    Raises:
        UnknownError: if there is no such model.
        UnknownNameError: if there is no such class.
    """
    images = session.model(asked.model).images
    if asked.label is not None and asked.label >= len(images.class_names):
        raise unknown_name("class", asked.label, [f"0 to {len(images.class_names) - 1}"])
    chosen = range(len(images)) if asked.label is None else (images.labels == asked.label).nonzero()[:, 0].tolist()
    shown = list(chosen[asked.start : asked.start + asked.count])
    labels = images.labels[shown].tolist()
    return {
        "total": len(chosen),
        "images": [{"index": index, "label": label} for index, label in zip(shown, labels, strict=True)],
        "tile": list(images.size),
        "atlas": atlas(images.images[shown]),
    }
