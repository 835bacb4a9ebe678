"""Subjects: what a page asks about, as records that refuse what they do not know; nothing in them names a file."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from trojancam.attacks.patch import Patch
from trojancam.detection.scanning import DEFAULT_METHODS
from trojancam.errors import DataError
from trojancam.records import Record
from trojancam.stimulation import Stimulation

Identifier = Annotated[str, Field(max_length=40)]
Name = Annotated[str, Field(max_length=400)]
Share = Annotated[float, Field(ge=0, le=1)]
Cell = Annotated[int, Field(ge=0, le=8192)]
Side = Annotated[int, Field(ge=1, le=8192)]
Split = Literal["test"]


class ImageChoice(Record):
    """An image of the data set, by its number, or one that was uploaded."""

    split: Split | None = None
    index: Annotated[int, Field(ge=0)] | None = None
    upload: Identifier | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ImageChoice":
        of_the_data = self.split is not None and self.index is not None
        if of_the_data == (self.upload is not None) or (self.upload is None) != of_the_data:
            raise ValueError("an image is either a split and an index, or an upload")
        return self


class PlacedTrigger(Record):
    """A rectangle of one colour, laid over the image by hand: its place and size in pixels."""

    row: Cell
    column: Cell
    height: Side
    width: Side
    colour: tuple[Share, Share, Share]
    opacity: Annotated[float, Field(gt=0, le=1)] = 1.0

    def on(self, size: tuple[int, int]) -> Patch:
        """The trigger for images of this size.

        Raises:
            DataError: if it does not fit into them.
        """
        height, width = size
        if self.row + self.height > height or self.column + self.width > width:
            raise DataError(
                f"a trigger of {self.height}x{self.width} pixels at row {self.row}, column {self.column} does not fit into "
                f"an image of {height}x{width}; move it or make it smaller"
            )
        mask = torch.zeros(height, width)
        mask[self.row : self.row + self.height, self.column : self.column + self.width] = 1
        pattern = torch.tensor(self.colour, dtype=torch.float32).view(3, 1, 1).expand(3, height, width)
        return Patch(mask, pattern.contiguous(), self.opacity, "placed by hand")


class Subject(Record):
    """Which network sees which image, with which trigger on it, which class is explained (None: the predicted one), and how."""

    model: Identifier
    image: ImageChoice
    trigger: PlacedTrigger | None = None
    explain: Annotated[int, Field(ge=0)] | None = None
    method: Name = "grad-cam"


class AboutSubject(Record):
    """A question about a subject."""

    subject: Subject


class AboutLayer(AboutSubject):
    """A question about a layer of the network."""

    layer: Name


class AboutMap(AboutLayer):
    """A question about one feature map."""

    map: Annotated[int, Field(ge=0)]


class AboutDefence(AboutSubject):
    """A question to an input-level defence: does the image bear a trigger?"""

    defence: Name


class AboutStimulation(AboutSubject):
    """A question about a stimulation, in the form that `Stimulation.from_json` reads."""

    stimulation: dict[str, Any]

    def wanted(self) -> Stimulation:
        """The stimulation.

        Raises:
            UnknownNameError: if there is no such kind, unit or rest.
            DataError: if it is none.
        """
        return Stimulation.from_json(self.stimulation)


class MapChoice(Record):
    """A feature map of a network."""

    model: Identifier
    layer: Name
    map: Annotated[int, Field(ge=0)]


class ScanSettings(Record):
    """How a network is scanned: on how many clean images, with which methods, from which seed."""

    images: Annotated[int, Field(ge=4, le=2000)] = 100
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)] = DEFAULT_METHODS
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class ScanRequest(ScanSettings):
    """A scan of a network."""

    model: Identifier


class RepairSettings(Record):
    """How a network is repaired: from how many clean images of each class, by which method, for how many points of accuracy.

    `scan` is a finished scan of the session, whose findings are removed; without it, the network is scanned first.
    """

    images: Annotated[int, Field(ge=2, le=100)] = 5
    method: Name = "ladder"
    budget: Annotated[float, Field(ge=0, le=100)] = 1.0
    force: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    scan: Identifier | None = None


class RepairRequest(RepairSettings):
    """A repair of a network."""

    model: Identifier


class ViewRequest(Record):
    """A view of the page, as which its Python code, or a file of it, is asked for, and how the page draws it.

    `scan` is one that was begun, `scanning` says what one would be begun with; `repair` and `repairing` likewise. Feature maps
    are drawn `signed`, on the `scale` that all share or each on its own, in the order of `sort`, with `blanks` or without, over
    the image or as cells (`tiles`); a single one as `shows` says; heat maps of layers on the scale that `layers` names.
    """

    view: Literal["explain", "layer", "map", "stimulate", "scan", "repair"]
    model: Identifier | None = None
    subject: Subject | None = None
    layer: Name | None = None
    map: Annotated[int, Field(ge=0)] | None = None
    stimulation: dict[str, Any] | None = None
    scan: Identifier | None = None
    scanning: ScanSettings | None = None
    repair: Identifier | None = None
    repairing: RepairSettings | None = None
    signed: bool = False
    scale: Literal["shared", "own"] = "shared"
    sort: Literal["number", "contribution", "energy", "peak", "asr"] = "number"
    blanks: bool = True
    tiles: Literal["image", "cells"] = "image"
    shows: Literal["activations", "contributions", "heatmap"] = "activations"
    layers: Literal["own", "shared"] = "own"

    def about(self) -> AboutSubject:
        """The question that the view answers; a scan is none of these.

        Raises:
            ValidationError: if something that it needs is missing.
        """
        kind = QUESTIONS[self.view]
        given = {name: getattr(self, name) for name in kind.model_fields}
        return kind.model_validate({name: value for name, value in given.items() if value is not None})


QUESTIONS: dict[str, type[AboutSubject]] = {
    "explain": AboutSubject,
    "layer": AboutLayer,
    "map": AboutMap,
    "stimulate": AboutStimulation,
}
