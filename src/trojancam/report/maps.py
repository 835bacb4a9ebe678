"""Maps of a page: the heat maps of one image as numbered tiles of one atlas, to sort, to thin out and to enlarge."""

import base64
import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.evaluation.localisation import dilated, feature_map_energy
from trojancam.figures.atlas import TOP, Atlas, legend_png, level_atlas, picture_atlas, picture_png, shrunk
from trojancam.figures.captions import ZERO, blank_reason, cells, number
from trojancam.figures.colour import Array, ColourScale, dimmed, pixels
from trojancam.figures.grid import NOTHING, SCALES
from trojancam.figures.layout import outline
from trojancam.network.placement import Placement, stretched
from trojancam.report.glossary import Term, term_of

Image = Float[Tensor, "3 height width"]
Mask = Bool[Tensor, "height width"]
Numbers = dict[str, list[float | None]]

LARGEST = 128  # pixels of the longer side of an image on a page: larger ones are shown smaller
DIGITS = 6  # of numbers on the page that are not printed but sorted by
TITLES = {
    "contribution": "Contribution",
    "energy": "Energy in the trigger",
    "stimulation_asr": "Stimulation ASR",
    "weight": "Weight",
    "peak": "Peak",
}
SHARES = ("energy", "stimulation_asr")
SORTED = ("contribution", "energy", "stimulation_asr", "peak")


@dataclass(frozen=True)
class Backdrop:
    """The image that maps lie over, as PNGs: as it is, and pale, as heat is laid over it; its size, and an outline on it."""

    image: bytes
    pale: bytes
    size: tuple[int, int]
    outline: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, image: Image, mask: Mask | None = None) -> "Backdrop":
        """The backdrop of an image in [0, 1], with a known trigger outlined."""
        lines = () if mask is None else tuple(tuple(float(x) for x in line.flatten()) for line in outline(mask))
        size = image.shape[1], image.shape[2]
        return cls(picture_png(_small(pixels(image))), picture_png(_small(dimmed(image))), size, lines)

    @property
    def key(self) -> str:
        """A name for the image: one that many maps lie over is on a page once."""
        return f"image-{hashlib.sha256(self.image).hexdigest()[:12]}"

    @property
    def uris(self) -> tuple[str, str]:
        """Image and pale image as addresses that a page can hold."""
        return data_uri(self.image), data_uri(self.pale)


@dataclass(frozen=True)
class Maps:
    """Tiles of one atlas: the feature maps of a layer, or (`pictures`) one picture for each layer.

    `names` are printed over the tiles and `notes` beside them; `numbers` are what tiles can be sorted by, None where one is
    not known; at first they are `sorted_by` one of these, or by name. `blank` tiles can be hidden, `framed` ones stand out.
    """

    template: ClassVar = "maps.html.j2"
    title: str
    caption: str
    atlas: Atlas
    backdrop: Backdrop
    names: tuple[str, ...]
    placement: Placement
    cells: tuple[int, int]
    layer: str = ""
    scale: ColourScale | None = None
    shared: bool = True
    notes: tuple[str, ...] = ()
    numbers: Numbers = field(default_factory=dict)
    blank: tuple[int, ...] = ()
    framed: tuple[int, ...] = ()
    sorted_by: str = ""

    @property
    def pictures(self) -> bool:
        """Whether tiles are pictures to be looked at as they are, and no levels of a colour scale."""
        return self.scale is None

    @property
    def uri(self) -> str:
        """The atlas as an address that a page can hold."""
        return data_uri(self.atlas.png)

    @property
    def width(self) -> int:
        """How wide the atlas is in its own pixels."""
        return int.from_bytes(self.atlas.png[16:20], "big")

    @property
    def legend(self) -> tuple[str, list[str]] | None:
        """The colours of the scale as a picture, and the words below it: its ends and its middle."""
        if self.scale is None:
            return None
        if self.shared:
            words = [number(tick) for tick in self.scale.ticks]
        else:
            words = ["−peak", "0", "peak"] if self.scale.signed else ["0", "half", "peak"]
        return data_uri(legend_png(self.scale)), words

    @property
    def sorts(self) -> dict[str, str]:
        """What tiles can be sorted by, and what it is called."""
        return {name: TITLES[name] for name in SORTED if name in self.numbers}

    @property
    def terms(self) -> list[Term]:
        """The words for the numbers at its tiles, on its scale, and of a map that is large."""
        scale = [] if self.scale is None else [term_of("Colour scale")]
        cells = [term_of("Cells")] if self.notes else []
        return [term for term in (*self._explained.values(), *cells, *scale) if term]

    @property
    def _explained(self) -> dict[str, Term]:
        """What explains each number of a tile: by its name, the note of a picture as `note`, the rank as `rank`."""
        names = {name: TITLES[name] for name in self.numbers}
        names |= {"rank": "Rank by contribution"} if "contribution" in self.numbers else {}
        names |= {"note": "Largest cell"} if self.notes else {}
        return {name: term for name, title in names.items() if (term := term_of(title))}

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script needs to know; the rest is read from the pictures."""
        rows, columns = self.placement.rows, self.placement.columns
        return {
            "layer": self.layer,
            "tile": self.atlas.tile,
            "columns": self.atlas.columns,
            "cells": self.cells,
            "placed": [rows.offset, rows.stride, columns.offset, columns.stride],
            "image": self.backdrop.key,
            "size": self.backdrop.size,
            "outline": self.backdrop.outline,
            "zero": None if self.scale is None else TOP // 2 if self.scale.signed else 0,
            "names": self.names,
            "notes": self.notes,
            "numbers": {name: [_rounded(value) for value in values] for name, values in self.numbers.items()},
            "titles": {name: TITLES[name] for name in self.numbers},
            "meanings": {name: term.meaning for name, term in self._explained.items()},
            "shares": [name for name in SHARES if name in self.numbers],
            "blank": self.blank,
            "framed": self.framed,
        }


def map_numbers(
    attribution: Attribution,
    index: int,
    mask: Mask | None = None,
    success_rates: Mapping[int, float] | None = None,
    signed: bool = False,
) -> Numbers:
    """What is known of each feature map of a layer for one image of the batch, by feature map.

    The `weight` and the `contribution` (the sum of its cells), the `peak` of what is drawn (of either sign, if `signed`);
    with a mask, the share of the map's `energy` inside it, grown by one cell of the layer (None: blank); with success
    rates, the `stimulation_asr` of those maps that one is known of.
    """
    contributions = attribution.contributions[index]
    values = contributions.abs() if signed else contributions.relu()
    found: Numbers = {
        "weight": attribution.weights[index].tolist(),
        "contribution": contributions.sum((1, 2)).tolist(),
        "peak": values.amax((1, 2)).tolist(),
    }
    if mask is not None:
        shares = feature_map_energy(attribution, dilated(mask, attribution.placement.cell))[index].tolist()
        found["energy"] = [None if math.isnan(share) else share for share in shares]
    if success_rates:
        found["stimulation_asr"] = [success_rates.get(k) for k in range(len(contributions))]
    return found


def feature_maps(
    attribution: Attribution,
    index: int,
    backdrop: Backdrop,
    numbers: Numbers,
    *,
    title: str = "",
    caption: str = "",
    scale: str = SCALES[0],
    signed: bool = False,
    framed: Collection[int] = (),
    sorted_by: str = "contribution",
) -> Maps:
    """All feature maps of a layer for one image: `ReLU(C_k)`, or `C_k` (`signed`), on one scale or `each` on its own."""
    contributions = attribution.contributions[index]
    values = contributions if signed else contributions.relu()
    whole = ColourScale.of(values, signed)
    limits = [whole.limit if scale == SCALES[0] else float(each.abs().amax()) for each in values]
    small, placement = shrunk(values, attribution.placement)
    faint = max(ZERO, NOTHING * whole.limit)
    blank = [k for k, each in enumerate(values) if float(each.abs().amax()) <= faint]
    return Maps(
        title=title or attribution.layer,
        caption=caption,
        atlas=level_atlas(small, [ColourScale(limit, signed) for limit in limits]),
        backdrop=backdrop,
        names=tuple(str(k) for k in range(len(values))),
        placement=placement,
        cells=(small.shape[1], small.shape[2]),
        layer=attribution.layer,
        scale=whole,
        shared=scale == SCALES[0],
        numbers=numbers,
        blank=tuple(blank),
        framed=tuple(framed),
        sorted_by=sorted_by,
    )


def layer_maps(
    image: Image,
    attributions: Mapping[str, Attribution],
    index: int,
    backdrop: Backdrop,
    *,
    title: str = "",
    caption: str = "",
) -> Maps:
    """The image and the heat of every layer over it, each layer on a scale of its own."""
    base, tiles, notes = dimmed(image), [_small(pixels(image))], [f"{image.shape[1]}x{image.shape[2]}"]
    for attribution in attributions.values():
        heatmap = attribution.heatmap()[index]
        scale = ColourScale.of(heatmap)
        tiles.append(_small(base if scale.blank else scale.over(heatmap, base)))
        told = blank_reason(attribution, index) if scale.blank else f"max {number(scale.limit)}"
        notes.append(f"{cells(attribution)} · {told}")
    atlas = picture_atlas(tiles)
    words = "The image, then each layer's heat map over it: the redder, the more it speaks for the class. Each has its own scale."
    return Maps(
        title=title,
        caption=f"{caption} {words}".strip(),
        atlas=atlas,
        backdrop=backdrop,
        names=("image", *attributions),
        placement=stretched(atlas.tile, backdrop.size),
        cells=atlas.tile,
        notes=tuple(notes),
    )


def layer_maxima(attributions: Mapping[str, Attribution], index: int) -> dict[str, float]:
    """The largest value of each layer's heat map, which `layer_maps` notes under it."""
    return {name: float(attribution.heatmap()[index].amax()) for name, attribution in attributions.items()}


def _small(picture: Array) -> Array:
    """A picture `h w 3` as it is, or, if it is large, as means over pixels side by side."""
    height, width = picture.shape[:2]
    step = math.ceil(max(height, width) / LARGEST)
    if step == 1:
        return picture
    size = math.ceil(height / step), math.ceil(width / step)
    return F.adaptive_avg_pool2d(torch.from_numpy(picture).permute(2, 0, 1), size).permute(1, 2, 0).numpy()


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def data_uri(png: bytes) -> str:
    """A PNG as an address that a page can hold."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
