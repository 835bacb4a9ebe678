"""Grad-CAM explained: figures 4 and 5, how a heat map comes about, drawn from a real recording with its real numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.figures.captions import DOT, number
from trojancam.figures.colour import ColourScale, pixels
from trojancam.figures.layout import (
    DETAIL,
    INK,
    MARGIN,
    PALE_INK,
    SMALL,
    TITLE,
    UNIT,
    axes_at,
    colour_bar,
    page,
    show,
)
from trojancam.figures.panels import BAR, BAR_LABELS, heat
from trojancam.figures.views import View
from trojancam.progress import Progress
from trojancam_study.exhibits import Exhibit
from trojancam_study.layers import LAYER, map_shares, stop_sign
from trojancam_study.study import Study

SUMMED, SINGLE = 4, 5  # feature maps drawn in figures 4 and 5
TILE, LARGE, NARROW = (
    4 * UNIT,
    5 * UNIT,
    3 * UNIT,
)  # inches: a feature map, the layer's heat map, the bars of the weights
STRIP, GAP, ARROW = 0.2, 0.1, 0.34  # over a tile, for its number; between two tiles; between two steps
HEAD, FOOT = 0.5, 0.4  # over some tiles, for what they show, and under them, for their colour bar
ACTIVATIONS = "viridis"  # not the colours of heat: an activation speaks neither for the class nor against it
FOR, AGAINST = "#b2182b", "#2166ac"  # as the ends of the signed colour scale

FeatureMaps = Float[Tensor, "k h w"]
Weights = Float[Tensor, " k"]
Map = Float[Tensor, "h w"]


@dataclass(frozen=True)
class Terms:
    """One layer for one image: activations `A^k`, their gradients, the weights `w_k` and the contributions `w_k A^k`."""

    activations: FeatureMaps
    gradients: FeatureMaps
    weights: Weights
    contributions: FeatureMaps

    @classmethod
    def of(cls, seen: View, layer: str = LAYER) -> "Terms":
        """Those of a layer that was recorded."""
        recorded, cam = seen.recording.layers[layer], seen.cams[layer]
        return cls(recorded.activations[0], recorded.gradients[0], cam.weights[0], cam.contributions[0])

    def total(self) -> Map:
        """The sum over all feature maps, before the ReLU."""
        return self.contributions.sum(0)

    def telling(self, count: int) -> list[int]:
        """The feature maps to draw: those that add most to the sum, and (the lesser half) those that take most from it."""
        order = [int(k) for k in self.contributions.sum((1, 2)).argsort(descending=True, stable=True)]
        against = min(count, len(order)) // 2
        return order[: min(count, len(order)) - against] + order[len(order) - against :]

    def cancelled(self) -> float:
        """What the sum loses of what single maps show, `1 - sum ReLU(sum_k C_k) / sum sum_k ReLU(C_k)`; 0 if these are blank."""
        shown = float(self.contributions.relu().sum())
        return 1 - float(self.total().relu().sum()) / shown if shown > 0 else 0.0


def figure_4(study: Study, progress: Progress) -> Exhibit:
    """How Grad-CAM works: feature maps, gradients, their means as weights, weighted maps, sum, ReLU, heat map.

    `w_k = (1/Z) sum_ij dy/dA^k_ij` and `L = ReLU(sum_k w_k A^k)` (arXiv 1610.02391), from one recording of the basic network
    on a Stop sign. Some feature maps are drawn, all are summed.
    """
    seen = stop_sign(study)
    terms = Terms.of(seen)
    chosen, total = terms.telling(SUMMED), terms.total()
    figure = pipeline(seen, terms, chosen)
    progress(1, 1, "drawn")
    return Exhibit(
        found=f"In {LAYER} of the basic network {int((terms.weights > 0).sum())} of {len(terms.weights)} feature maps have a "
        f"positive weight; weights run from {_number(terms.weights.amin())} to {_number(terms.weights.amax())}. The weighted "
        f"sum of all maps reaches {_number(total.amax())} for the class and {_number(total.amin())} at the other end, "
        "and the ReLU keeps what is above 0.",
        pictures={"": (figure, f"Grad-CAM step by step, in {LAYER} of the basic network on a Stop sign.")},
        numbers={
            "layer": LAYER,
            "weights": _rounded(terms.weights),
            "drawn": chosen,
            "peak": float(total.relu().amax()),
        },
    )


def figure_5(study: Study, progress: Progress) -> Exhibit:
    """Single feature map Grad-CAM: `ReLU(w_k A^k)` of one map at a time, beside the heat map of the whole layer.

    Of each map its share of what all show is measured, `sum ReLU(C_k) / sum_l sum ReLU(C_l)`; and what is lost of that where
    maps against the class cancel it, `1 - sum ReLU(sum_k C_k) / sum sum_k ReLU(C_k)`: single maps do not add up to the
    layer's.
    """
    seen = stop_sign(study)
    terms = Terms.of(seen)
    chosen, shares = terms.telling(SINGLE), map_shares(seen.cams[LAYER])
    figure = single_maps(seen, terms, chosen, shares)
    progress(1, 1, "drawn")
    first = max(range(len(shares)), key=shares.__getitem__)
    return Exhibit(
        found=f"Feature map {first} alone makes up {shares[first]:.0%} of what the {len(shares)} single maps of {LAYER} show. "
        f"They do not add up to the layer's map: maps that speak against the class cancel {terms.cancelled():.0%} of it.",
        pictures={"": (figure, f"Single feature maps of {LAYER} of the basic network, beside the whole layer's map.")},
        numbers={"layer": LAYER, "shares": shares, "drawn": chosen, "cancelled": terms.cancelled()},
    )


def pipeline(seen: View, terms: Terms, chosen: Sequence[int]) -> Figure:
    """The steps of Grad-CAM from left to right, with a row for each of the feature maps chosen."""
    widths = (TILE, TILE, TILE, NARROW, TILE, TILE, LARGE)
    lefts = [MARGIN + sum(widths[:place]) + place * ARROW for place in range(len(widths))]
    height = HEAD + len(chosen) * (STRIP + TILE) + FOOT
    figure, top = page(
        lefts[-1] + LARGE + MARGIN, height, f"How Grad-CAM works{DOT}{seen.caption}", [_drawn(terms, chosen)]
    )
    rows = [top + HEAD + row * (STRIP + TILE) + STRIP for row in range(len(chosen))]
    middle = (rows[0] + rows[-1] + TILE) / 2
    _picture(figure, lefts[0], middle, seen)
    for left, name, formula, values, signed in (
        (lefts[1], "feature maps", "$A^k$", terms.activations, False),
        (lefts[2], "gradients", r"$\partial y / \partial A^k$", terms.gradients, True),
        (lefts[4], "contributions", "$w_k A^k$", terms.contributions, True),
    ):
        _head(figure, left, rows[0] - STRIP, name, formula)
        _column(figure, left, rows, values, chosen, signed=signed)
    _head(figure, lefts[3], rows[0] - STRIP, "weights", "$w_k$")
    for upper, k in zip(rows, chosen, strict=True):
        _weight(figure, lefts[3], upper, float(terms.weights[k]), float(terms.weights[list(chosen)].abs().amax()))
    _sum(figure, lefts[5], middle, terms)
    _layer_map(figure, lefts[6], middle, seen, "heat map", "over the image, smooth")
    for left, words in zip(lefts[1:], ("", "", "mean", "$\\times A^k$", "add", "ReLU"), strict=True):
        _arrow(figure, left - ARROW, middle, words)
    return figure


def single_maps(seen: View, terms: Terms, chosen: Sequence[int], shares: Sequence[float]) -> Figure:
    """Feature maps, under each what it shows by itself, on one scale; and beside them the map of the whole layer."""
    lefts = [MARGIN + place * (TILE + GAP) for place in range(len(chosen))]
    bars = lefts[-1] + TILE + GAP / 2
    whole = bars + BAR + BAR_LABELS + ARROW
    below = HEAD + STRIP + TILE + FOOT + HEAD + STRIP
    heading = f"Single feature map Grad-CAM{DOT}{seen.caption}"
    figure, top = page(whole + LARGE + MARGIN, below + TILE + FOOT, heading, [_drawn(terms, chosen)])
    upper, lower = top + HEAD + STRIP, top + below
    _head(figure, MARGIN, upper - STRIP, "feature maps", "$A^k$, on one scale")
    _head(
        figure,
        MARGIN,
        lower - STRIP,
        "what each shows by itself",
        "$\\mathrm{ReLU}(w_k A^k)$ laid over the image, on one scale",
    )
    shown = seen.cams[LAYER].at_image_size(terms.contributions[None].relu())[0]
    plain, hot = (
        ColourScale.of(_some(terms.activations, chosen), colours=ACTIVATIONS),
        ColourScale.of(_some(shown, chosen)),
    )
    for left, k in zip(lefts, chosen, strict=True):
        weight = float(terms.weights[k])
        _write(figure, left, upper - 0.03, f"map {k}", SMALL, PALE_INK)
        show(axes_at(figure, left, upper, TILE, TILE), plain.rgb(terms.activations[k]))
        _write(
            figure, left, upper + TILE + 0.24, f"$w_{{{k}}}$ = {_signed(weight)}", TITLE, FOR if weight > 0 else AGAINST
        )
        _write(figure, left, lower - 0.03, f"map {k}: {shares[k]:.0%} of all", SMALL, PALE_INK)
        axes = axes_at(figure, left, lower, TILE, TILE)
        heat(
            axes,
            seen.image,
            shown[k],
            _of(hot, shown[k]),
            mask=None,
            blank="blank: weight below 0" if weight < 0 else "blank",
        )
    for place, scale, laid_over in ((upper, plain, False), (lower, hot, True)):
        _upright_bar(figure, bars, place, scale, laid_over=laid_over)
    _picture(figure, whole, upper + TILE / 2, seen)
    _arrow(figure, whole - ARROW, lower + TILE / 2, f"all {len(terms.weights)}")
    _layer_map(figure, whole, lower + TILE / 2, seen, "the whole layer", r"$\mathrm{ReLU}(\Sigma_k\, w_k A^k)$")
    return figure


def _drawn(terms: Terms, chosen: Sequence[int]) -> str:
    return f"{LAYER}, for the logit y of Stop; drawn are {len(chosen)} of its {len(terms.weights)} feature maps"


def _some(values: FeatureMaps, chosen: Sequence[int]) -> Float[Tensor, "drawn h w"]:
    return values[list(chosen)]


def _of(scale: ColourScale, values: Map) -> ColourScale:
    """The scale, or a blank one for a map that is: such a map says so."""
    return scale if float(values.amax()) > 0 else ColourScale(0.0)


def _head(figure: Figure, left: float, upper: float, name: str, formula: str) -> None:
    """Two lines over what begins at `upper`: its name, and smaller its formula."""
    _write(figure, left, upper - 0.2, name, TITLE, INK)
    _write(figure, left, upper - 0.02, formula, DETAIL, PALE_INK)


def _write(figure: Figure, left: float, lower: float, words: str, size: float, ink: str) -> None:
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - lower / down, words, fontsize=size, color=ink, va="bottom", ha="left")


def _column(
    figure: Figure, left: float, rows: Sequence[float], values: FeatureMaps, chosen: Sequence[int], *, signed: bool
) -> None:
    """Some maps below one another on one scale, and its colour bar."""
    some = _some(values, chosen)
    scale = ColourScale.of(some, signed) if signed else ColourScale.of(some, colours=ACTIVATIONS)
    for upper, k in zip(rows, chosen, strict=True):
        _write(figure, left, upper - 0.02, f"map {k}", SMALL, PALE_INK)
        show(axes_at(figure, left, upper, TILE, TILE), scale.rgb(values[k]))
    _level_bar(figure, left, rows[-1] + TILE, TILE, scale, laid_over=False)


def _weight(figure: Figure, left: float, upper: float, weight: float, longest: float) -> None:
    """A weight as a number and a bar beside its map, red for the class and blue against it."""
    axes: Axes = axes_at(figure, left, upper + TILE / 2 - 0.1, NARROW, 0.2)
    axes.barh([0], [weight], color=FOR if weight > 0 else AGAINST)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlim(-1.05 * (longest or 1.0), 1.05 * (longest or 1.0))
    axes.set_axis_off()
    _write(figure, left, upper + TILE / 2 - 0.16, _signed(weight), TITLE, INK)


def _picture(figure: Figure, left: float, middle: float, seen: View) -> None:
    _head(figure, left, middle - TILE / 2, "image", "what the network sees")
    show(axes_at(figure, left, middle - TILE / 2, TILE, TILE), pixels(seen.image))


def _sum(figure: Figure, left: float, middle: float, terms: Terms) -> None:
    """The sum of all maps, signed."""
    total, upper = terms.total(), middle - TILE / 2
    scale = ColourScale.of(total, signed=True)
    _head(figure, left, upper, f"sum of all {len(terms.weights)}", r"$\Sigma_k\, w_k A^k$")
    show(axes_at(figure, left, upper, TILE, TILE), scale.rgb(total))
    _level_bar(figure, left, upper + TILE, TILE, scale, laid_over=False)


def _layer_map(figure: Figure, left: float, middle: float, seen: View, name: str, formula: str) -> None:
    """The layer's heat map over the image."""
    heatmap, upper = seen.cams[LAYER].heatmap()[0], middle - LARGE / 2
    scale = ColourScale.of(heatmap)
    _head(figure, left, upper, name, formula)
    heat(axes_at(figure, left, upper, LARGE, LARGE), seen.image, heatmap, scale, mask=None, blank="blank")
    _level_bar(figure, left, upper + LARGE, LARGE, scale, laid_over=True)


def _level_bar(figure: Figure, left: float, upper: float, width: float, scale: ColourScale, *, laid_over: bool) -> None:
    if not scale.blank:
        colour_bar(axes_at(figure, left, upper + 0.06, width, 0.08), scale, laid_over=laid_over, level=True)


def _upright_bar(figure: Figure, left: float, upper: float, scale: ColourScale, *, laid_over: bool) -> None:
    if not scale.blank:
        colour_bar(axes_at(figure, left, upper, BAR, TILE), scale, laid_over=laid_over, level=False)


def _arrow(figure: Figure, left: float, middle: float, words: str) -> None:
    """An arrow to the right, and over it what happens on the way."""
    axes = axes_at(figure, left, middle - 0.2, ARROW, 0.4)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    arrow = {"arrowstyle": "-|>", "color": PALE_INK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (0.9, 0.4), (0.1, 0.4), arrowprops=arrow)
    axes.text(0.5, 0.6, words, fontsize=SMALL, color=INK, ha="center", va="bottom")


def _number(value: Tensor) -> str:
    return number(float(value))


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def _rounded(values: Weights) -> list[float]:
    return [round(float(value), 6) for value in values]
