"""Artificial Brain Stimulation (ABS, Liu et al., CCS 2019): feature maps that drive whatever is shown to one class.

Every feature map of every layer is replaced by one constant after the other, and the logits are read. A map that lifts the
same class above all others, whatever the image, is suspected. What decides is whether a small trigger that excites it can
be found, and how often that works on images it was not made on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, MinLen
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.inversion import Candidate, Inversion, InversionSettings, invert_once
from trojancam.detection.settings import Count, Positive, Settings, Share
from trojancam.detection.success import ablation_asr, reasr, stimulation_asr
from trojancam.detection.suspect import Suspect, halves
from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.network.replay import Copies, Replay, replay
from trojancam.progress import Progress, stages
from trojancam.stimulation import Stimulation

NAME = "abs"


@dataclass(frozen=True)
class Scheme:
    """Which constants a map is replaced by: `v_i = i s M / n` for i = 0 to n - 1, M being the layer's largest activation.

    >>> Scheme(2.0, 3).values(largest=6.0)
    tensor([0., 4., 8.])
    """

    s: Positive
    n: Annotated[int, Ge(2)]

    def values(self, largest: float) -> Float[Tensor, " n"]:
        """The constants for a layer with this largest activation."""
        return torch.arange(self.n, device="cpu") * self.s * largest / self.n

    def __str__(self) -> str:
        return f"s={self.s:g}, n={self.n}"


SCHEMES = (Scheme(8.0, 5), Scheme(2.0, 3))  # those of the paper


@dataclass(frozen=True)
class StimulatedMap:
    """What stimulating one feature map does under one scheme.

    `target_class` is t*, the class that rises most on most images; `agreement` is the share of images of other classes on
    which it does, `elevation` the least of its leads over the next class there. With the map at `value`, the constant that
    lifts the class most, `stimulation_asr` is the share of images of other classes that are given it, `prediction_value`
    its mean logit there. Where every image is of class t*, nothing can be said, and all of them are 0.
    """

    layer: str
    feature_map: int
    scheme: Scheme
    target_class: int
    agreement: float = 0.0
    elevation: float = 0.0
    value: float = 0.0
    stimulation_asr: float = 0.0
    prediction_value: float = 0.0


@dataclass(frozen=True)
class ABSSettings(Settings):
    """How ABS looks and judges.

    `seeds` images are stimulated. A feature map is kept if at least `agreement` of those of other classes agree on its
    class; the strongest map of each class, of at most `classes` classes, is inverted. A recovered trigger may cover
    `largest_share` of the image. If its REASR reaches `backdoor`, the paper's threshold, the network has a backdoor; if it
    does not reach `inconclusive`, nothing was found.
    """

    derived: ClassVar[tuple[str, ...]] = ("inversion.largest",)

    schemes: Annotated[tuple[Scheme, ...], MinLen(1)] = SCHEMES
    seeds: Count = 16
    agreement: Share = 0.8
    classes: Count = 64
    largest_share: Share = 0.02
    inversion: InversionSettings = field(default_factory=lambda: InversionSettings(keep=8))
    backdoor: float = 0.88
    inconclusive: float = 0.8


def detect(job: Job, settings: ABSSettings = ABSSettings()) -> ScanReport:
    """Stimulate every feature map, invert the strongest of each class, and judge by the best REASR (the score, in [0, 1]).

    One half of the images serves to stimulate and to invert, the other half to measure success rates.
    """
    ours, held_out = halves(job.suspect)
    layers = list(ours.network.layers)
    stimulating, inverting = stages(job.progress, [len(layers), settings.inversion.rounds])
    table: list[StimulatedMap] = []
    for done, layer in enumerate(layers, start=1):
        table += _stimulated_layer(job, ours, layer, settings)
        stimulating(done, len(layers), f"stimulated {layer}")
    chosen = [row for row in strongest(table, settings) if bool(held_out.others(row.target_class).any())]
    inversions = _inverted(job, ours, chosen, settings, inverting)
    findings = [
        _finding(row, inversion, table, held_out)
        for row, inversion in zip(chosen, inversions, strict=True)
        if not inversion.given_up
    ]
    return concluded(job, NAME, findings, settings)


def cost(suspect: Suspect, settings: ABSSettings) -> int:
    """About how many images the detector runs through the network."""
    maps = sum(layer.feature_maps for layer in suspect.network.layers.values())
    stimulated = maps * settings.seeds * sum(scheme.n for scheme in settings.schemes)
    inversion = settings.inversion
    candidates = min(settings.classes, suspect.classes)
    return stimulated + 3 * candidates * inversion.rounds * inversion.steps * inversion.batch


def stimulated_maps(
    network: Network,
    layer: str,
    images: Float[Tensor, "n 3 h w"],
    labels: Int64[Tensor, " n"],
    schemes: Sequence[Scheme] = SCHEMES,
) -> list[StimulatedMap]:
    """Replace each feature map of a layer by constants, and see which class rises above all others, and by how much.

    `D_t = max_{i >= 1} z_t(v_i) - z_t(v_0)`, `E = D_(1) - D_(2)`, `t* = argmax D` for each image (ABS, CCS 2019). It costs
    one run of what comes after the layer for each map, constant and image. Images lie in [0, 1].

    Raises:
        UnknownNameError: if there is no such layer.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> found = stimulated_maps(network, "0", torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 0, 1, 0]))
    >>> len(found), str(found[0].scheme)
    (8, 's=8, n=5')
    """
    replayed = replay(network, layer, images)
    constants = [scheme.values(float(replayed.activations.max())) for scheme in schemes]
    rows = []
    tried = torch.cat(constants).to(replayed.activations.device)
    copies = replayed.copies(min(len(tried), replayed.variants_at_once()))
    for number in range(replayed.activations.shape[1]):
        by_scheme = _logits(replayed, copies, number, tried).split([scheme.n for scheme in schemes])
        rows += [
            _judged(StimulatedMap(layer, number, scheme, _rising(logits)), logits, values, labels)
            for scheme, logits, values in zip(schemes, by_scheme, constants, strict=True)
        ]
    return rows


def strongest(table: Sequence[StimulatedMap], settings: ABSSettings = ABSSettings()) -> list[StimulatedMap]:
    """The map with the greatest elevation of each class, strongest first, of the maps that images agree on.

    The paper takes the strongest of all. But there are maps in the deep layers of any network that lift their own class by
    more than a backdoor does, and many of them: they would keep it out.
    """
    agreed = [row for row in table if row.agreement >= settings.agreement and row.elevation > 0]
    agreed.sort(key=lambda row: row.elevation, reverse=True)
    of_class: dict[int, StimulatedMap] = {}
    for row in agreed:
        of_class.setdefault(row.target_class, row)
    return list(of_class.values())[: settings.classes]


@torch.no_grad()
def _logits(
    replayed: Replay, copies: Copies, feature_map: int, values: Float[Tensor, " v"]
) -> Float[Tensor, "v n classes"]:
    """The logits of every image with the map at each value, which the copies have meanwhile."""
    different, places = values.unique(return_inverse=True)  # every scheme starts at 0
    edited, logits = copies.activations[:, :, feature_map], []
    for chunk in parts(len(different), len(copies)):
        edited[: chunk.stop - chunk.start] = different[chunk, None, None, None]
        logits.append(copies.first(chunk.stop - chunk.start).logits())
    edited.copy_(replayed.activations[:, feature_map])
    return torch.cat(logits)[places]


def _rises(logits: Float[Tensor, "v n classes"]) -> Float[Tensor, "n classes"]:
    return logits[1:].amax(0) - logits[0]


def _rising(logits: Float[Tensor, "v n classes"]) -> int:
    """The class that rises most on most images."""
    return int(_rises(logits).argmax(1).bincount().argmax())


def _judged(
    row: StimulatedMap,
    logits: Float[Tensor, "v n classes"],
    values: Float[Tensor, " v"],
    labels: Int64[Tensor, " n"],
) -> StimulatedMap:
    """The row with what the images of other classes tell."""
    others = labels != row.target_class
    if not bool(others.any()):
        return row
    rises, logits = _rises(logits)[others], logits[:, others]
    first, second = rises.topk(2, dim=1).values.unbind(1)
    agreeing = rises.argmax(1) == row.target_class
    best = int(logits[1:, :, row.target_class].mean(1).argmax()) + 1
    return replace(
        row,
        agreement=float(agreeing.float().mean()),
        elevation=float((first - second)[agreeing].min()) if bool(agreeing.any()) else 0.0,
        value=float(values[best]),
        stimulation_asr=float((logits[best].argmax(1) == row.target_class).float().mean()),
        prediction_value=float(logits[best, :, row.target_class].mean()),
    )


def _stimulated_layer(job: Job, ours: Suspect, layer: str, settings: ABSSettings) -> list[StimulatedMap]:
    """The rows of a layer, computed once."""
    seeds = slice(settings.seeds)

    def work() -> dict[str, Tensor]:
        rows = stimulated_maps(ours.network, layer, ours.images[seeds], ours.labels[seeds], settings.schemes)
        return {
            "whole": torch.tensor([[row.feature_map, row.target_class] for row in rows], device="cpu"),
            "measures": torch.tensor(
                [[getattr(row, name) for name in _MEASURES] for row in rows], dtype=torch.float64, device="cpu"
            ),
        }

    kept = job.journal.step(f"{NAME}/{layer}", work)
    schemes = list(settings.schemes) * (len(kept["whole"]) // len(settings.schemes))
    return [
        StimulatedMap(layer, number, scheme, target, *measures)
        for (number, target), measures, scheme in zip(
            kept["whole"].tolist(), kept["measures"].tolist(), schemes, strict=True
        )
    ]


_MEASURES = ("agreement", "elevation", "value", "stimulation_asr", "prediction_value")


def _inverted(
    job: Job, ours: Suspect, chosen: Sequence[StimulatedMap], settings: ABSSettings, progress: Progress
) -> list[Inversion]:
    """A trigger for each chosen map, which is excited on the way; computed once."""
    candidates = [Candidate(row.target_class, None, row.layer, (row.feature_map,)) for row in chosen]
    height, width = ours.network.input.size
    how = replace(settings.inversion, largest=settings.largest_share * height * width)
    return invert_once(job.journal, f"{NAME}/inversion", ours, candidates, how, job.seed, progress)


def _finding(row: StimulatedMap, inversion: Inversion, table: Sequence[StimulatedMap], held_out: Suspect) -> Finding:
    """What is to say of one map, with rates on images that nothing was made on."""
    images, labels, target = held_out.images, held_out.labels, row.target_class
    network, trigger = held_out.network, inversion.trigger
    stimulation = Stimulation(row.layer, (row.feature_map,), "replace", row.value)
    success = reasr(network, trigger, images, labels, target)
    return Finding(
        detector=NAME,
        target_class=target,
        score=success,
        layer=row.layer,
        feature_maps=(row.feature_map,),
        position=inversion.position,
        elevation=row.elevation,
        stimulation_asr=stimulation_asr(network, images, labels, target, stimulation),
        reasr=success,
        ablation_asr=ablation_asr(network, trigger, images, labels, target, row.layer, (row.feature_map,)),
        trigger=trigger,
        stimulation=stimulation,
        evidence={
            "mask_l1": inversion.mask_l1,
            "agreement": row.agreement,
            "stimulation_value": row.value,
            "prediction_value": row.prediction_value,
            **_elevations(row, table),
        },
    )


def _elevations(row: StimulatedMap, table: Sequence[StimulatedMap]) -> dict[str, float]:
    """The elevation of the row's class under each scheme: 0 where another class rises more."""
    of_map = [other for other in table if (other.layer, other.feature_map) == (row.layer, row.feature_map)]
    return {
        f"elevation ({other.scheme})": other.elevation if other.target_class == row.target_class else 0.0
        for other in of_map
    }
