"""Stimulations: the kinds of it side by side on the same feature maps, in the same window, of the same benign images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.errors import DataError
from trojancam.evaluation.localisation import dilated, layer_energy
from trojancam.figures.intervals import Bar, interval_bars
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.network import Network
from trojancam.network.recording import Recording
from trojancam.network.targets import logit
from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam.stimulation import Stimulated, Stimulation, donated, stimulate
from trojancam_study import detections
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, measured
from trojancam_study.shares import BATCH
from trojancam_study.study import SPEED_70, Study
from trojancam_study.visible import choose

NAME = "trojan2"
FACTOR = 4.0  # of the kind that scales
PLACES: dict[str, Callable[[Stimulation], Stimulation]] = {
    "window, rest kept": lambda one: replace(one, rest="keep"),
    "window, rest zero": lambda one: replace(one, rest="zero"),
    "whole map": lambda one: replace(one, rest="keep", window=None),
}
KINDS = {
    "as found": "replaced by the activations that the scan found, cell by cell",
    "constant": "replaced by one number: the largest of those",
    "random": "replaced by random activations, even between 0 and the constant",
    "donor": "replaced by the same map of a benign sign of the trojan class",
    "triggered donor": "replaced by the same map of a sign with the trigger",
    "added": "the constant is added",
    "scaled": f"multiplied by {FACTOR:g}",
    "zero": "set to zero",
}
# what was found is found for the window alone; and with all set to zero, the rest is zero, too
SAME = {("as found", "whole map"), ("zero", "window, rest zero")}
PRECISION = 4

Images = Float[Tensor, "n 3 h w"]
Variant = tuple[str, str]  # kind and place


@dataclass(frozen=True)
class Found:
    """What a scan stimulates in a network, and the layer whose Grad-CAM is looked at.

    `window` marks the pixels whose nearest cell is stimulated, and `mask` is that, grown by one cell of the layer looked at.
    """

    stimulation: Stimulation
    layer: str
    window: Bool[Tensor, "h w"]
    mask: Bool[Tensor, "h w"]


@dataclass(frozen=True)
class Effect:
    """What a stimulation did, image by image.

    `to_target` and `to_others` say whether the image went to the trojan class, or from its predicted class to another
    than that; `before` and `after` are shares of Grad-CAM energy, of the trojan class's logit, inside the grown window,
    `sum(L m) / sum(L)`, 0 for a blank map; `chance` is the grown window's share of the image.
    """

    to_target: Float[Tensor, " n"]
    to_others: Float[Tensor, " n"]
    before: Float[Tensor, " n"]
    after: Float[Tensor, " n"]
    chance: float


def stimulation_kinds(study: Study, progress: Progress) -> Exhibit:
    """The kinds of stimulation side by side on trojan2: which of them send benign images to the trojan class.

    Feature maps, window and activations are those of the strongest finding of a scan, which knows nothing of the trigger.
    Measured on benign test images of other classes that the scan was not given: the share that goes to the trojan class,
    the share that goes to any other class than before, and the share of Grad-CAM energy in the window, grown by one cell,
    before and after. The layer looked at is the one of figure 17, chosen on the scan's images.
    """
    scanning, measuring = stages(progress, [3, 5])
    parts = stages(scanning, [1] * len(study.seeds))
    found = [found_by_scan(study, seed, part) for seed, part in zip(study.seeds, parts, strict=True)]
    effects: dict[Variant, list[Effect]] = {}
    for seed, one, part in zip(study.seeds, found, stages(measuring, [1] * len(study.seeds)), strict=True):
        for variant, effect in _effects(study, seed, one, part).items():
            effects.setdefault(variant, []).append(effect)
    rates = {what: _measured(effects, what) for what in ("to_target", "to_others", "after")}
    before = measured("energy in the window, unstimulated", *_values(effects["constant", "whole map"], "before"))
    return Exhibit(
        found=_in_words(rates["to_target"], rates["after"], before),
        pictures={
            "": (_maps(study, found[0]), _maps_caption(study, found[0])),
            "success": (
                _bars(rates["to_target"], "share of images"),
                f"Benign images that go to the trojan class. {_sample(study)}",
            ),
            "energy": (
                _bars(rates["after"], "share of Grad-CAM energy"),
                f"Energy in the window, stimulated. {_sample(study)}",
            ),
        },
        tables=[_table(rates, before, study)],
        measurements=[before, *(each for by_variant in rates.values() for each in by_variant.values())],
        numbers={
            what: {", ".join(variant): each.mean for variant, each in by_variant.items()}
            for what, by_variant in rates.items()
        },
    )


def found_by_scan(study: Study, seed: int, progress: Progress) -> Found:
    """What a scan of trojan2 stimulates to show its strongest finding, and where that is best seen on the scan's images.

    Raises:
        DataError: if it has no feature maps in a window.
    """
    network, ((images, labels), _) = study.network(NAME, seed), detections.clean_images(study)
    finding = detections.strongest_finding(detections.scanned(study, NAME, seed, progress))
    if finding.stimulation is None or finding.stimulation.window is None:
        raise DataError("the scan's strongest finding has no window to stimulate; scan with the stimulation detector")
    layer = choose(network, finding, images[labels != finding.target_class]).layer
    window = stimulate(network, images[:1], finding.stimulation).place
    return Found(finding.stimulation, layer, window, dilated(window, network.layer(layer).placement.cell))


def variants(study: Study, network: Network, found: Stimulation) -> dict[Variant, Stimulation]:
    """Every kind of stimulation in every place: the scan's window, with the rest kept or set to zero, or the whole map."""
    return {
        (kind, place): in_place(stimulation)
        for kind, stimulation in _kinds(study, network, found).items()
        for place, in_place in PLACES.items()
        if (kind, place) not in SAME
    }


def _kinds(study: Study, network: Network, found: Stimulation) -> dict[str, Stimulation]:
    """Every kind, in the window that was found."""
    layer = network.layer(found.layer)
    maps = tuple(found.maps(layer.feature_maps))
    value = found.value if isinstance(found.value, Tensor) else torch.tensor(found.value).reshape(-1, 1, 1)
    peaks = value.expand(len(maps), *layer.size)[:, found.place(layer.size)].amax(1)
    random = torch.rand(len(maps), *layer.size, generator=torch.Generator().manual_seed(0)) * peaks[:, None, None]
    constant = replace(found, value=tuple(peaks.tolist()))
    pasted = partial(donated, network, layer=found.layer, feature_maps=maps, window=found.window)
    triggered = study.trigger(NAME).apply(study.example(SPEED_70, network)[None])[0]
    return {
        "as found": found,
        "constant": constant,
        "random": replace(found, value=random),
        "donor": pasted(study.example(study.target_class(NAME), network)),
        "triggered donor": pasted(triggered),
        "added": replace(constant, kind="add"),
        "scaled": replace(found, kind="scale", value=FACTOR),
        "zero": replace(found, kind="zero", value=1.0),
    }


def _effects(study: Study, seed: int, found: Found, progress: Progress) -> dict[Variant, Effect]:
    network, target = study.network(NAME, seed), study.target_class(NAME)
    _, (images, labels) = detections.clean_images(study)
    others, every = images[labels != target], variants(study, network, found.stimulation)
    effects = {}
    for done, (variant, stimulation) in enumerate(every.items(), start=1):
        effects[variant] = effect_of(network, others, stimulation, found, target)
        progress(done, len(every), f"{', '.join(variant)}, seed {seed}")
    return effects


def effect_of(network: Network, images: Images, stimulation: Stimulation, found: Found, target_class: int) -> Effect:
    """What a stimulation does to images of other classes, looked at as `found` says."""
    parts = [
        _effect(stimulate(network, batch, stimulation, logit(target_class)), found, target_class)
        for batch in images.split(BATCH)
    ]
    to_target, to_others, before, after = (torch.cat(each) for each in zip(*parts, strict=True))
    return Effect(to_target, to_others, before, after, float(found.mask.float().mean()))


def _effect(done: Stimulated, found: Found, target_class: int) -> tuple[Tensor, ...]:
    own, now = done.before.logits.argmax(1), done.after.logits.argmax(1)
    to_target = now == target_class
    cams = done.cams_before[found.layer], done.cams_after[found.layer]
    energies = [layer_energy(cam, found.mask).nan_to_num(0) for cam in cams]
    return (to_target.float(), ((now != own) & ~to_target).float(), *energies)


def _values(effects: Sequence[Effect], what: str) -> tuple[list[Tensor], float | None]:
    """The values of each seed; energy has a chance level, and a window may differ from seed to seed."""
    chance = round(sum(each.chance for each in effects) / len(effects), PRECISION)
    return [getattr(each, what) for each in effects], chance if what in ("before", "after") else None


def _measured(effects: Mapping[Variant, Sequence[Effect]], what: str) -> dict[Variant, Measurement]:
    words = {
        "to_target": "goes to the trojan class",
        "to_others": "goes to another class",
        "after": "energy in the window",
    }
    return {
        variant: measured(f"{words[what]}, {', '.join(variant)}", *_values(each, what))
        for variant, each in effects.items()
    }


def _in_words(
    success: Mapping[Variant, Measurement], energy: Mapping[Variant, Measurement], before: Measurement
) -> str:
    best = max(success, key=lambda variant: success[variant].mean)
    own, constant, donor = ((kind, "window, rest kept") for kind in ("as found", "constant", "donor"))
    return (
        f"What the scan found, in its window, sends {success[own]} of benign images to the trojan class; one constant there "
        f"{success[constant]}, the maps of a benign sign of that class {success[donor]}. Most go with '{', '.join(best)}': "
        f"{success[best]}. Grad-CAM energy in the window is {before} unstimulated and {energy[own].mean:.3f} with what was "
        "found."
    )


def _bars(rates: Mapping[Variant, Measurement], upright: str) -> Figure:
    groups = {
        kind: {place: Bar(rates[kind, place], rates[kind, place].chance) for place in PLACES if (kind, place) in rates}
        for kind in KINDS
    }
    return interval_bars(groups, upright=upright, heading=f"Kinds of stimulation on {NAME}")


def _maps(study: Study, found: Found) -> Figure:
    """One benign sign: its heat map as it is, and, in a row for each kind, stimulated in every place."""
    network, target = study.network(NAME, study.seeds[0]), study.target_class(NAME)
    image, stimulation = study.example(SPEED_70, network), found.stimulation
    done = {
        variant: stimulate(network, image[None], each, logit(target))
        for variant, each in variants(study, network, stimulation).items()
    }
    clean = next(iter(done.values()))
    unstimulated = _panel(image, clean.before, clean.cams_before, found, "unstimulated")
    rows = [[Panel("benign sign", image, mask=found.window), unstimulated]]
    rows += [
        [
            _panel(image, done[kind, place].after, done[kind, place].cams_after, found, f"{kind}: {place}")
            for place in PLACES
            if (kind, place) in done
        ]
        for kind in KINDS
    ]
    maps = ", ".join(map(str, stimulation.maps(network.layer(stimulation.layer).feature_maps)))
    details = f"Grad-CAM of {found.layer}, logit of class {target}; outlined: the window; each map has its own scale"
    return panel_sheet(rows, f"{NAME}, feature map {maps} of {stimulation.layer} stimulated", [details])


def _panel(
    image: Float[Tensor, "3 h w"], recording: Recording, cams: Mapping[str, Attribution], found: Found, title: str
) -> Panel:
    cam = cams[found.layer]
    share = float(layer_energy(cam, found.mask).nan_to_num(0))
    note = f"answers class {int(recording.logits.argmax())}; {share:.0%} near the window"
    return Panel(title, image, note, cam.heatmap()[0], found.window)


def _table(rates: Mapping[str, Mapping[Variant, Measurement]], before: Measurement, study: Study) -> Table:
    rows = [
        [kind, KINDS[kind], place, *(str(rates[what][kind, place]) for what in ("to_target", "to_others", "after"))]
        for kind, place in rates["to_target"]
    ]
    headings = [
        "Kind",
        "What happens to the activations",
        "Where",
        "To the trojan class",
        "To another class",
        "Energy in the window",
    ]
    return Table(headings, rows, f"Unstimulated, energy in the window is {before}. {_sample(study)}", (0, 1, 2))


def _maps_caption(study: Study, found: Found) -> str:
    return (
        f"A benign sign before and after each kind of stimulation (seed {study.seeds[0]}): Grad-CAM of {found.layer} for the "
        "trojan class, what the network answers, and how much of the heat lies within one cell of the outlined window."
    )


def _sample(study: Study) -> str:
    return (
        f"{study.images()} benign test images that the scan was not given, less those of the trojan class; "
        f"{len(study.seeds)} seeds."
    )
