"""Transparent triggers: how well heat maps show a trigger, from one that is hardly there to a clear one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.attribution import grad_cam
from trojancam.evaluation.statistics import spearman
from trojancam.figures.intervals import Curve, interval_curves
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, Verdict, above, all_of, measured
from trojancam_study.shares import BATCH, Shares, triggered
from trojancam_study.study import SPEED_70, Study

NAME = "trojan2"
WORKING = 0.5  # attack success rate from which on a backdoor is there, and its heat maps count
PICTURED = 4  # opacities, at most, whose heat maps are drawn
PRECISION = 4
TRAINED = f"{NAME} trained and tested with a trigger of this opacity"


@dataclass(frozen=True)
class Point:
    """One network under a trigger of one opacity.

    `successes` are 1 for each image that is sent to the target class. The other values belong to those images on which
    nothing was chosen: shares of energy inside the trigger, grown by one cell, of the best layer's own map (its pointing
    game, too) and of the best single feature map; the share of the image that the grown trigger covers is its chance.
    """

    successes: Float[Tensor, " n"]
    layer: str
    layer_map: Float[Tensor, " m"]
    layer_chance: float
    pointing: Float[Tensor, " m"]
    pointing_chance: float
    map_layer: str
    feature_map: int
    single_map: Float[Tensor, " m"]
    map_chance: float

    @property
    def works(self) -> bool:
        """Whether there is a backdoor to be shown."""
        return float(self.successes.mean()) >= WORKING


Points = Mapping[float, Sequence[Point]]  # by opacity; one for each seed
Measured = dict[str, dict[float, Measurement]]  # by what is measured, and by opacity


def claim_f(study: Study, progress: Progress) -> Exhibit:
    """The more transparent a trigger, the worse layer heat maps show it, while single feature maps still do.

    For each opacity, `trojan2` is trained anew with a trigger of that opacity. Of each triggered test image of another class
    the share of Grad-CAM energy inside the grown trigger, `sum(L m) / sum(L)`, is measured for the layer map, and for the
    feature map, with the greatest mean lead over chance; that was chosen on the other half of the images. A blank map counts
    as 0. The claim holds if (1) the rank correlation of the layer map's lead over chance with the opacity, image by image
    over the networks whose attack success rate is at least 0.5, lies above 0, and (2) the feature map's lead over chance lies
    above 0 at every opacity at which a backdoor works.

    Beside it, the network trained with the study's own opacity is given triggers of all the others.
    """
    trained_part, tested_part = stages(progress, [9, 1])
    trained, tested = _trained(study, trained_part), _tested(study, tested_part)
    rise = _rise(trained)
    leads = [_lead(opacity, points) for opacity, points in trained.items() if any(point.works for point in points)]
    by_training, by_testing = _measured(trained, "trained and tested at"), _measured(tested, "tested at")
    return Exhibit(
        found=_in_words(rise, by_training, by_testing, study.trigger(NAME).opacity),
        verdict=verdict_of(rise, leads),
        pictures={
            "": (_curves(by_training, TRAINED), _curves_caption(study)),
            "sensitivity": (_curves(by_testing, _tested_heading(study)), _tested_caption(study)),
            "maps": (_maps(study, trained), _maps_caption(study)),
        },
        tables=[_table(by_training, trained, study), _table(by_testing, tested, study, tested=True)],
        measurements=[*([rise] if rise else []), *leads, *_all(by_training), *_all(by_testing)],
        numbers={"trained": _numbers(by_training), "tested": _numbers(by_testing)},
    )


def _trained(study: Study, progress: Progress) -> dict[float, list[Point]]:
    """Networks trained with a trigger of each opacity, each under its own trigger."""
    opacities, seeds = study.scale.opacities, study.seeds
    told = iter(stages(progress, [1] * len(opacities) * len(seeds)))
    return {
        opacity: [_point(study, _network(study, seed, opacity, next(told)), opacity) for seed in seeds]
        for opacity in opacities
    }


def _tested(study: Study, progress: Progress) -> dict[float, list[Point]]:
    """The networks of the study, trained with its own opacity, under triggers of all."""
    points = {}
    for done, opacity in enumerate(study.scale.opacities, start=1):
        points[opacity] = [_point(study, network, opacity) for network in study.networks(NAME)]
        progress(done, len(study.scale.opacities), f"{NAME} under a trigger of opacity {opacity:g}")
    return points


def _network(study: Study, seed: int, opacity: float, progress: Progress) -> Network:
    """`trojan2` trained with a trigger of this opacity."""

    def named(done: int, total: int, note: str = "", /) -> None:
        progress(done, total, f"{NAME} with a trigger of opacity {opacity:g}, seed {seed}, {note}")

    network = study.network(NAME, seed, opacity, named)
    named(1, 1, "trained")
    return network


def _point(study: Study, network: Network, opacity: float) -> Point:
    images, _ = study.test_images(NAME)
    trigger, target = _trigger(study, opacity), study.target_class(NAME)
    successes = [(network(trigger.apply(batch)).argmax(1) == target).float() for batch in images.split(BATCH)]
    return chosen(triggered(network, images, trigger, target).layers, torch.cat(successes))


def _trigger(study: Study, opacity: float) -> Patch:
    return replace(study.trigger(NAME), opacity=opacity)


def chosen(layers: Mapping[str, Shares], successes: Float[Tensor, " n"]) -> Point:
    """The best layer map and the best feature map, by their lead over chance on one half of the images, on the other half."""
    first, second = ({name: shares.halves()[half] for name, shares in layers.items()} for half in (0, 1))
    layer = max(first, key=lambda name: float(first[name].layer_map.mean()) - first[name].chance)
    map_layer = max(first, key=lambda name: float(first[name].feature_maps.mean(0).max()) - first[name].chance)
    feature_map = first[map_layer].best()
    return Point(
        successes,
        layer,
        second[layer].layer_map,
        second[layer].chance,
        second[layer].pointing,
        second[layer].pointing_chance,
        map_layer,
        feature_map,
        second[map_layer].feature_maps[:, feature_map],
        second[map_layer].chance,
    )


def correlation(points: Sequence[Point], opacities: Sequence[float]) -> Float[Tensor, " m"]:
    """For each image, the rank correlation over one seed's working networks of the layer map's lead with the opacity.

    NaN where the lead is the same throughout; empty with fewer than two working networks.
    """
    working = [(opacity, point) for opacity, point in zip(opacities, points, strict=True) if point.works]
    if len(working) < 2:
        return torch.empty(0)
    leads = torch.stack([point.layer_map - point.layer_chance for _, point in working], 1)
    grades = torch.tensor([opacity for opacity, _ in working], dtype=leads.dtype).expand_as(leads)
    found = spearman(leads, grades).float()
    return found if bool(found.isfinite().any()) else torch.empty(0)


def _rise(points: Points) -> Measurement | None:
    """The rank correlation over all images and seeds; None without two working backdoors from every seed."""
    by_seed = [correlation(each, list(points)) for each in zip(*points.values(), strict=True)]
    what = "rank correlation of the best layer map's lead over chance with opacity"
    return measured(what, by_seed) if all(map(len, by_seed)) else None


def _lead(opacity: float, points: Sequence[Point]) -> Measurement:
    """By how much the best feature map's share exceeds chance, over the networks whose backdoor works."""
    leads = [point.single_map - point.map_chance for point in points if point.works]
    return measured(f"lead of the best feature map over chance at opacity {opacity:g}", leads)


def verdict_of(rise: Measurement | None, leads: Sequence[Measurement]) -> Verdict:
    """It cannot be told without two opacities at which the backdoor of every training works."""
    return all_of("cannot tell" if rise is None else above(rise), *(above(lead) for lead in leads))


def _measured(points: Points, at: str) -> Measured:
    """What is drawn and tabled, over the networks of all seeds, whether their backdoors work or not."""
    found: Measured = {"success": {}, "layer map": {}, "pointing": {}, "feature map": {}}
    for opacity, each in points.items():
        place = f"{at} opacity {opacity:g}"
        found["success"][opacity] = measured(f"attack success rate, {place}", [point.successes for point in each])
        for kind, what, values, chances in (
            ("layer map", "energy of the best layer map", "layer_map", "layer_chance"),
            ("pointing", "pointing game of the best layer map", "pointing", "pointing_chance"),
            ("feature map", "energy of the best feature map", "single_map", "map_chance"),
        ):
            # which layer is best may differ between trainings, and with it what chance gives
            chance = sum(getattr(point, chances) for point in each) / len(each)
            name = f"{what}, {place}"
            found[kind][opacity] = measured(name, [getattr(point, values) for point in each], round(chance, PRECISION))
    return found


def _all(by_kind: Measured) -> list[Measurement]:
    return [measurement for by_opacity in by_kind.values() for measurement in by_opacity.values()]


def _numbers(by_kind: Measured) -> dict[str, dict[str, float]]:
    return {kind: {f"{o:g}": each.mean for o, each in by_opacity.items()} for kind, by_opacity in by_kind.items()}


def _in_words(rise: Measurement | None, trained: Measured, tested: Measured, own: float) -> str:
    faint, clear = min(trained["success"]), max(trained["success"])
    correlation = "cannot be told, for too few backdoors work" if rise is None else f"is {rise}"
    working = {opacity: each for opacity, each in trained["feature map"].items() if _works(trained, opacity)}
    weakest = min(working.values(), key=lambda each: each.mean - (each.chance or 0), default=None)
    least = (
        "No backdoor formed"
        if weakest is None
        else f"The best single feature map holds {weakest} where its lead is least"
    )
    idle = [f"{opacity:g}" for opacity in trained["success"] if not _works(trained, opacity)]
    without = f" (left out: opacity {', '.join(idle)}, at which no backdoor formed)" if idle and working else ""
    return (
        f"The rank correlation of the best layer map's lead over chance with the opacity {correlation}: at opacity {faint:g} "
        f"it holds {trained['layer map'][faint]} of its energy in the trigger, at {clear:g} {trained['layer map'][clear]}. "
        f"{least}{without}. Trained at opacity {own:g}, the network "
        f"answers a trigger of opacity {faint:g} on {tested['success'][faint].mean:.1%} of the images (attack success rate; "
        f"{trained['success'][faint].mean:.1%} if it was trained with that one)."
    )


def _works(trained: Measured, opacity: float) -> bool:
    """Whether the networks trained at an opacity, taken together, have a backdoor."""
    return trained["success"][opacity].mean >= WORKING


def _curves(by_kind: Measured, heading: str) -> Figure:
    opacities = sorted(by_kind["success"])

    def curve(name: str, kind: str) -> Curve:
        found = [by_kind[kind][opacity] for opacity in opacities]
        chances = [each.chance for each in found if each.chance is not None]
        return Curve(name, found, chances or None)

    panels = {
        "Grad-CAM energy in the trigger": [
            curve("best layer map", "layer map"),
            curve("best single feature map", "feature map"),
        ],
        "share of images": [
            curve("attack success", "success"),
            curve("best layer map peaks in the trigger", "pointing"),
        ],
    }
    return interval_curves(panels, opacities, across="opacity of the trigger", heading=heading, limits=(0.0, 1.02))


def _maps(study: Study, points: Points) -> Figure:
    """A triggered sign for some opacities, with its best layer map and its best feature map below."""
    networks = {opacity: _network(study, study.seeds[0], opacity, lambda *_: None) for opacity in _pictured(study)}
    sign = study.example(SPEED_70, study.network(NAME, study.seeds[0]))
    columns = [_column(study, network, sign, points[o][0], o) for o, network in networks.items()]
    details = f"Grad-CAM, logit of class {study.target_class(NAME)}; outlined: the trigger; every map has its own scale"
    return panel_sheet(list(zip(*columns, strict=True)), "The same sign, the trigger ever clearer", [details])


def _column(study: Study, network: Network, sign: Float[Tensor, "3 h w"], point: Point, opacity: float) -> list[Panel]:
    trigger, target = _trigger(study, opacity), study.target_class(NAME)
    stamped = trigger.apply(sign[None])
    recording = record(network, stamped, logit(target), dict.fromkeys([point.layer, point.map_layer]))
    cams = grad_cam(recording)
    answer = int(recording.logits.argmax())
    turned = "answers the target class" if answer == target else f"answers class {answer}"
    layer, single = cams[point.layer].heatmap()[0], cams[point.map_layer].feature_map_heatmaps(point.feature_map)[0]
    outline = trigger.place
    return [
        Panel(f"opacity {opacity:g}", stamped[0], turned, mask=outline),
        Panel("best layer map", stamped[0], point.layer, layer, outline),
        Panel("best feature map", stamped[0], f"{point.map_layer}, map {point.feature_map}", single, outline),
    ]


def _pictured(study: Study) -> list[float]:
    """Some of the opacities, evenly spread, the faintest and the clearest among them."""
    opacities = sorted(study.scale.opacities)
    count = min(PICTURED, len(opacities))
    return [opacities[round(place * (len(opacities) - 1) / max(1, count - 1))] for place in range(count)]


def _table(by_kind: Measured, points: Points, study: Study, *, tested: bool = False) -> Table:
    headings = [
        "Opacity", "Attack success rate", "Best layer map", "Its energy in the trigger", "Its pointing game",
        "Best feature map", "Its energy in the trigger",
    ]  # fmt: skip
    rows = [
        [
            f"{opacity:g}",
            str(by_kind["success"][opacity]),
            _named(point.layer for point in points[opacity]),
            str(by_kind["layer map"][opacity]),
            str(by_kind["pointing"][opacity]),
            _named(f"{point.map_layer}/{point.feature_map}" for point in points[opacity]),
            str(by_kind["feature map"][opacity]),
        ]
        for opacity in sorted(points)
    ]
    how = _tested_heading(study) if tested else TRAINED
    return Table(headings, rows, f"{how}. {_sample(study)} Of the best maps, those of each seed are named.", (2, 5))


def _named(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _sample(study: Study) -> str:
    return (
        f"Attack success on {study.images(NAME)} test images of other classes for each of {len(study.seeds)} seeds; the best "
        "maps were chosen on one half of these, and measured on the other."
    )


def _tested_heading(study: Study) -> str:
    return f"{NAME} trained with opacity {study.trigger(NAME).opacity:g}, tested with a trigger of this opacity"


def _curves_caption(study: Study) -> str:
    return (
        f"{NAME}, trained anew with a trigger of each opacity. Left: the share of Grad-CAM energy inside the trigger, grown by "
        f"one cell, of the best layer's map and of the best single feature map. Right: attack success, and how often the best "
        f"layer map is largest within one cell of the trigger. {_sample(study)}"
    )


def _tested_caption(study: Study) -> str:
    return (
        f"{NAME} as the study trained it, with a trigger of opacity {study.trigger(NAME).opacity:g}, under triggers of other "
        f"opacities: how faint a trigger it still answers, and how well heat maps show that one. {_sample(study)}"
    )


def _maps_caption(study: Study) -> str:
    return (
        f"The same test sign under triggers of growing opacity, each in the network trained with it (seed {study.seeds[0]}), "
        "with the best layer's map and the best single feature map; which are best was chosen on other images."
    )
