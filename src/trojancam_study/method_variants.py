"""Variants: Grad-CAM against Grad-CAM++ on two images, and the whole family of methods on all networks, by ROAD."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.attribution import METHODS, Attribution, attribute
from trojancam.evaluation.comparison import Comparison, compare
from trojancam.evaluation.road import RoadScores, road
from trojancam.figures.captions import DOT, blank_reason
from trojancam.figures.colour import ColourScale, pixels
from trojancam.figures.layout import MARGIN, UNIT, axes_at, colour_bar, page, show, tidy
from trojancam.figures.panels import GAP, LINE, Mask, heat, title
from trojancam.network.network import Network
from trojancam.network.targets import logit, probability
from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam.tasks.compare import CONTROLS
from trojancam.text import with_minus
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, Verdict, above, measured
from trojancam_study.study import NETWORKS, SPEED_70, STOP, Study

CHOSEN, OTHER = "grad-cam", "grad-cam++"  # what the study chose, and what it chose it over
CONTROL = "random"  # a map that knows nothing
PAIR = (CHOSEN, OTHER, CONTROL)
SLOW = ("score-cam", "ablation-cam", "lime")  # they run the network once for every feature map, or a thousand times
OF_TRANSFORMERS = ("attnlrp", "attention-rollout", "legrad")  # the study's networks are none
FAMILY = tuple(name for name in METHODS.own if name not in (*SLOW, *OF_TRANSFORMERS))
PANEL = 5 * UNIT  # inches
GAP_NAME = ": Grad-CAM++ less Grad-CAM"
CURVES = (
    "Mean probability of the class predicted as the most (full) and the least relevant pixels (dashed) are removed, over the "
    "layers of each network. The farther apart the two lines of a method, the better its maps."
)


@dataclass(frozen=True)
class Scored:
    """One method's maps of one image, layer by layer, and what ROAD makes of each."""

    method: str
    cams: Mapping[str, Attribution]
    scores: dict[str, RoadScores]

    def mean(self, score: str = "combined") -> float:
        """The mean over the layers of ROAD combined, or of its `morf` or `lerf` over the percentiles."""
        return sum(float(getattr(each, score).mean()) for each in self.scores.values()) / len(self.scores)


def figure_2(study: Study, progress: Progress) -> Exhibit:
    """Grad-CAM and Grad-CAM++ of the basic network on a benign Stop sign, each map with its MoRF, LeRF and combined score.

    MoRF is the mean probability of the class with the 10 to 90 % most relevant pixels removed by ROAD, LeRF with the least
    relevant ones; combined is half of LeRF less MoRF.
    """
    network = study.network("basic", study.seeds[0])
    return _of_image(network, study.example(STOP, network), STOP, "a benign Stop sign", progress)


def figure_3(study: Study, progress: Progress) -> Exhibit:
    """The same of trojan1 on a sign with its trigger, for the target class.

    MoRF, LeRF and combined are as in figure 2.
    """
    network, target = study.network("trojan1", study.seeds[0]), study.target_class("trojan1")
    trigger = study.trigger("trojan1")
    image = trigger.apply(study.example(SPEED_70, network)[None])[0]
    return _of_image(network, image, target, "a sign with the trigger", progress, trigger.place)


def claim_e(study: Study, progress: Progress) -> Exhibit:
    """Grad-CAM explains better than Grad-CAM++, for which reason the study chose it; and how the rest of the family does.

    ROAD combined, `(mean_q LeRF_q - mean_q MoRF_q) / 2` at 10 to 90 % of the pixels removed (arXiv 2202.00449), of the
    probability of the class predicted, on benign test images of all networks; the higher, the more faithful the map.
    Differences are paired: image by image, in each layer and in the mean over a network's layers. The claim holds if
    Grad-CAM++ less Grad-CAM, over the images of all three networks, lies below 0.
    """
    told = iter(stages(progress, [1] * len(NETWORKS) * len(study.seeds)))
    found = {name: [_compared(study, name, seed, next(told)) for seed in study.seeds] for name in NETWORKS}
    levels = [_level(method, found) for method in PAIR]
    whole = _whole_gap(found)
    by_network = [_gap(name, each) for name, each in found.items()]
    by_layer = [_gap(name, each, layer) for name, each in found.items() for layer in each[0].scores.layers]
    return Exhibit(
        found=f"{_in_words(levels, whole, by_layer)} {_family_in_words(found)}",
        verdict=favours_the_chosen(whole),
        pictures={"": (_curves(found), CURVES)},
        tables=[_gap_table([whole, *by_network, *by_layer]), _family_table(found)],
        measurements=[*levels, whole, *by_network, *by_layer],
    )


def favours_the_chosen(gap: Measurement) -> Verdict:
    """Whether Grad-CAM++ less Grad-CAM says that the study chose well: it does if the interval lies below 0."""
    opposite: dict[Verdict, Verdict] = {"agrees": "disagrees", "disagrees": "agrees", "cannot tell": "cannot tell"}
    return opposite[above(gap, 0.0)]


@dataclass(frozen=True)
class Compared:
    """A network's methods, scored."""

    scores: Comparison

    def of(self, method: str) -> Float[Tensor, " n"]:
        """ROAD combined of a method, image by image, in the mean over its layers."""
        return self.scores.by_method("road")[method]

    def gap(self, layer: str | None = None) -> Float[Tensor, " n"]:
        """ROAD combined of Grad-CAM++ less that of Grad-CAM, image by image: at a layer, or in the mean over layers."""
        scores = self.scores.by_method("road") if layer is None else self.scores.at_layer("road", layer)
        return scores[OTHER] - scores[CHOSEN]


Found = Mapping[str, Sequence[Compared]]


def _compared(study: Study, name: str, seed: int, progress: Progress) -> Compared:
    images, _ = study.test_images(name, study.scale.road_images)
    return Compared(compare(study.network(name, seed), images, FAMILY, faithfulness=("road",), progress=progress))


def _of_all(found: Found, values: Callable[[Compared], Float[Tensor, " n"]]) -> list[Float[Tensor, " m"]]:
    """Values of each seed, those of all networks one after the other."""
    return [torch.cat([values(each) for each in of_seed]) for of_seed in zip(*found.values(), strict=True)]


def _scores_of(method: str, found: Found) -> list[Float[Tensor, " m"]]:
    return _of_all(found, lambda each: each.of(method))


def _level(method: str, found: Found) -> Measurement:
    return measured(f"{METHODS[method].title}, ROAD combined", _scores_of(method, found))


def _whole_gap(found: Found) -> Measurement:
    return measured(f"all networks{GAP_NAME}", _of_all(found, Compared.gap))


def _gap(name: str, compared: Sequence[Compared], layer: str | None = None) -> Measurement:
    place = f"{name} {layer}" if layer else name
    return measured(f"{place}{GAP_NAME}", [each.gap(layer) for each in compared])


def _in_words(levels: Sequence[Measurement], whole: Measurement, by_layer: Sequence[Measurement]) -> str:
    verdicts = [favours_the_chosen(gap) for gap in by_layer]
    means = "; ".join(f"{METHODS[method].title} {level}" for method, level in zip(PAIR, levels, strict=True))
    return (
        f"ROAD combined over all networks and layers: {means}. Grad-CAM++ less Grad-CAM, paired: {whole}. Of {len(by_layer)} "
        f"layers Grad-CAM is better in {verdicts.count('agrees')} and Grad-CAM++ in {verdicts.count('disagrees')}."
    )


def _gap_table(gaps: Sequence[Measurement]) -> Table:
    """Grad-CAM++ less Grad-CAM by place, and which of them is better there."""
    better = {"agrees": METHODS[CHOSEN].title, "disagrees": METHODS[OTHER].title, "cannot tell": "cannot tell"}
    rows = [[gap.name.removesuffix(GAP_NAME), str(gap), better[favours_the_chosen(gap)]] for gap in gaps]
    caption = "ROAD combined, paired differences on benign test images, with 95 % bootstrap intervals over trainings and images."
    return Table(["Network and layer", "Grad-CAM++ less Grad-CAM", "Better"], rows, caption, words=(0, 2))


def _family_levels(found: Found) -> dict[str, Measurement]:
    """Every method, the best first."""
    levels = {method: measured(method, _scores_of(method, found)) for method in FAMILY}
    return dict(sorted(levels.items(), key=lambda item: -item[1].mean))


def _family_in_words(found: Found) -> str:
    levels = _family_levels(found)
    best = next(method for method in levels if method not in CONTROLS)
    return (
        f"Of the family {METHODS[best].title} is best with {levels[best]}; "
        f"a map of the image's centre, which does not look at the network, has {levels['centre']}."
    )


def _family_table(found: Found) -> Table:
    """The family, the best first, by network, over all, and less Grad-CAM."""
    rows = []
    for method, level in _family_levels(found).items():
        networks = [measured(method, [each.of(method) for each in of_name]) for of_name in found.values()]
        lead = "–" if method == CHOSEN else str(_lead(method, found))
        rows.append([METHODS[method].title, *(f"{each.mean:.3f}" for each in networks), str(level), lead])
    caption = "ROAD combined, mean over the layers, on benign test images of each network and seed."
    return Table(["Method", *found, "All networks", "Less Grad-CAM, paired"], rows, caption)


def _lead(method: str, found: Found) -> Measurement:
    """A method less Grad-CAM, image by image."""
    return measured(method, _of_all(found, lambda each: each.of(method) - each.of(CHOSEN)))


def _curves(found: Found) -> Figure:
    """For each network the probability as pixels are removed, in the mean over layers and seeds."""
    panels = {
        name: {METHODS[method].title: _mean_curve([each.scores for each in compared], method) for method in PAIR}
        for name, compared in found.items()
    }
    percentiles = next(iter(found.values()))[0].scores.percentiles
    return figures.removal_curves(
        panels, percentiles, "ROAD: what is left of the class's probability as pixels are removed"
    )


def _mean_curve(comparisons: Sequence[Comparison], method: str) -> Float[Tensor, "2 p"]:
    return torch.stack([each.curves[method, layer] for each in comparisons for layer in each.layers]).mean(0)


def _of_image(
    network: Network,
    image: Float[Tensor, "3 h w"],
    class_index: int,
    what: str,
    progress: Progress,
    mask: Mask | None = None,
) -> Exhibit:
    """Both methods on one image, a mask outlined."""
    found = attribute(network, image[None], (CHOSEN, OTHER), logit(class_index))
    scored = [_scored(network, image, method, cams, class_index) for method, cams in found.items()]
    words = f"{network.name}: {figures.caption(network(image[None])[0], network.class_names, class_index)}"
    progress(1, 1, "drawn")
    means = "; ".join(
        f"{METHODS[each.method].title} {each.mean():.3f} (MoRF {each.mean('morf'):.3f}, LeRF {each.mean('lerf'):.3f})"
        for each in scored
    )
    return Exhibit(
        found=f"On {what}, mean of ROAD combined over the layers of {network.name}: {means}. One image settles nothing: "
        "claim e measures on many.",
        pictures={
            "": (two_rows(image, scored, words, mask), f"Both methods of {network.name} on {what}, and ROAD's scores.")
        },
        numbers={each.method: _numbers(each) for each in scored},
    )


def _scored(
    network: Network, image: Float[Tensor, "3 h w"], method: str, cams: Mapping[str, Attribution], class_index: int
) -> Scored:
    scores = {name: road(network, image[None], cam.heatmap(), probability(class_index)) for name, cam in cams.items()}
    return Scored(method, cams, scores)


def _numbers(scored: Scored) -> dict[str, dict[str, float]]:
    return {
        layer: {name: round(float(getattr(each, name).mean()), 6) for name in ("morf", "lerf", "combined")}
        for layer, each in scored.scores.items()
    }


def two_rows(image: Float[Tensor, "3 h w"], scored: Sequence[Scored], caption: str, mask: Mask | None = None) -> Figure:
    """The image and each method's maps of all layers in a row, with MoRF, LeRF and their combination over each."""
    above_it, foot = 2 * LINE + 0.1, 0.4
    step = tidy(PANEL + GAP), tidy(above_it + PANEL + foot)
    width = 2 * MARGIN + (1 + len(scored[0].cams)) * step[0] - GAP
    details = ["Each map on its own scale. ROAD is half of LeRF less MoRF: the higher, the more faithful."]
    figure, top = page(width, len(scored) * step[1], caption, details)
    for row, each in enumerate(scored):
        upper = tidy(top + row * step[1] + above_it)
        axes = axes_at(figure, MARGIN, upper, PANEL, PANEL)
        show(axes, pixels(image), mask)
        title(axes, PANEL, METHODS[each.method].title, f"ROAD {_digits(each.mean())} in the mean")
        for place, layer in enumerate(each.cams, start=1):
            _draw(figure, MARGIN + place * step[0], upper, image, each, layer, mask)
    return figure


def _draw(
    figure: Figure,
    left: float,
    upper: float,
    image: Float[Tensor, "3 h w"],
    scored: Scored,
    layer: str,
    mask: Mask | None,
) -> None:
    """One layer's map, its scores over it and its colour bar under it."""
    cam, score = scored.cams[layer], scored.scores[layer]
    heatmap = cam.heatmap()[0]
    scale = ColourScale.of(heatmap)
    axes = axes_at(figure, left, upper, PANEL, PANEL)
    heat(axes, image, heatmap, scale, mask=mask, blank=blank_reason(cam, 0))
    title(axes, PANEL, f"{layer}{DOT}ROAD {_digits(float(score.combined[0]))}", _both_ways(score))
    if not scale.blank:
        colour_bar(axes_at(figure, left, upper + PANEL + 0.06, PANEL, 0.08), scale, laid_over=True, level=True)


def _both_ways(score: RoadScores) -> str:
    return f"MoRF {float(score.morf.mean()):.3f}{DOT}LeRF {float(score.lerf.mean()):.3f}"


def _digits(value: float) -> str:
    """Three digits after the point.

    >>> _digits(-0.0561), _digits(-0.0001)
    ('−0.056', '0.000')
    """
    return with_minus(f"{value:z.3f}")
