"""The stimulation detector: small windows of early layers, stimulated until some class answers everywhere; then a proof.

A backdoor is a class that a network names for something small in one place, whatever else the image shows. Every window
of every early layer is stimulated (`stimulation_maps`, `optimised`); a class that leads by far more than the other classes can
be made to is a candidate. For each candidate a trigger is looked for in the pixels around its window (`inversion`): a
backdoor has one that is small and works on images it was not made on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.inversion import (
    Candidate,
    CoarseInversionSettings,
    Inversion,
    InversionSettings,
    invert_once,
)
from trojancam.detection.outliers import MANY_CLASSES, leads_of, outlyingness
from trojancam.detection.settings import Count, Settings
from trojancam.detection.stimulation_maps.drive_levels import reach
from trojancam.detection.stimulation_maps.maps import StimulationMaps, stimulation_maps
from trojancam.detection.stimulation_maps.optimised import FEW, Stimuli, optimised
from trojancam.detection.stimulation_maps.optimised import cost as cost_of_optimising
from trojancam.detection.stimulation_maps.path_gradients import BACKWARD, PathSearch, strongest_by_gradients
from trojancam.detection.stimulation_maps.path_gradients import cost as cost_of_gradients
from trojancam.detection.stimulation_maps.windows import Windows, shallow, windows
from trojancam.detection.success import ablation_asr, reasr
from trojancam.detection.suspect import Suspect, halves
from trojancam.kept import Values
from trojancam.network.margins import lead, margins
from trojancam.network.network import Network
from trojancam.network.replay import replay
from trojancam.progress import Progress, counting, stages
from trojancam.rates import attack_success_rate
from trojancam.showing import Brief
from trojancam.stimulation import Stimulation, stimulated_logits
from trojancam.stimulation.variants import variants_read

NAME = "stimulation"
SMALL = 1 / 32  # of the image: a recovered mask of this size neither adds to the evidence nor takes from it
REACH = 3 / 16  # of the image's side: how far from a window's centre its trigger is looked for
FAR = 16.0  # robust standard deviations: to stand out by more is no more evidence
AHEAD = 0.5  # natural logarithm: of few classes, a candidate that leads the next one by less counts for less
FAINT = 0.5  # a candidate of a lower score does not make the next one stand out more
WIDE = 4  # cells along each side of a window, at least, in the layer that a coarse search takes
CARRIED = 0.9  # of what all maps of a stimulation do is enough for those that are named


@dataclass(frozen=True)
class StimulationSettings(Settings):
    """How the stimulation detector looks and judges.

    `search_images` are stimulated, `candidates` classes are inverted. A report is a `backdoor` from that score on, and
    `inconclusive` from that one: see docs/references.md.
    """

    search_images: Count = 12
    candidates: Count = 6
    inversion: InversionSettings = field(default_factory=lambda: InversionSettings(rounds=40))
    backdoor: float = 4.0
    inconclusive: float = 2.9


@dataclass(frozen=True)
class CoarseStimulationSettings(StimulationSettings):
    """How the stimulation detector looks where runs are dear: one early layer, by gradients, and triggers of coarse cells."""

    coarse: ClassVar[bool] = True

    candidates: Count = 3
    path: PathSearch = field(default_factory=PathSearch)
    inversion: CoarseInversionSettings = field(
        default_factory=lambda: CoarseInversionSettings(rounds=10, batch=6, learning_rate=0.4)
    )


@dataclass(frozen=True)
class StimulatedLayer(Brief):
    """What stimulating a layer in some windows came to: the strongest stimulation of each class.

    `outlyingness` says how far each class's margin is above the median class's, in robust standard deviations. The single maps
    are those of a thorough search.
    """

    windows: Windows
    strongest: Stimuli
    outlyingness: Float[Tensor, " classes"]
    maps: StimulationMaps | None = None


def detect(job: Job, settings: StimulationSettings = StimulationSettings()) -> ScanReport:
    """Stimulate the early layers, invert the best candidates, and judge by the strongest.

    The score of a candidate is `sqrt(min(outlyingness, 16)) * (small / mask) * gain`: how far its class stands out under
    stimulation, how small the recovered mask is (in units of a 32nd of the image), and how many images that it was not
    made on it sends to the class, less those that go there without it. Size counts more than standing out: in a clean
    network, too, some class stands out now and then, but no small trigger brings that about.

    Of fewer than 20 classes, of which one stands out by chance more easily, the score of the best candidate, or of the best
    two, is multiplied by `min(1, 2 ln(score / next score))`, where scores count as 0.5 at least, and that of all others by 0.
    """
    ours, held_out = halves(job.suspect)
    grids = grids_of(ours.network, settings)
    *stimulating, inverting = stages(
        job.progress, [*(_images_of(grid, ours, settings) for grid in grids), _images_of_inversions(settings)]
    )
    layers = stimulated_layers(job, ours.first(settings.search_images), grids, stimulating, settings)
    candidates = _candidates(layers, settings.candidates, (ours, held_out))
    regions = [_around(layers[layer], target, ours.network.input.size) for target, layer in candidates]
    sought = [Candidate(target, region) for (target, _), region in zip(candidates, regions, strict=True)]
    inversions = invert_once(job.journal, f"{NAME}/triggers", ours, sought, settings.inversion, job.seed, inverting)
    findings = [
        _finding(job.suspect, held_out, layers[layer], inversion, settings)
        for (_, layer), inversion in zip(candidates, inversions, strict=True)
    ]
    if ours.classes < MANY_CLASSES:
        findings = _held_against_each_other(findings)
    windows = ", ".join(f"{grid.layer.name} ({' x '.join(map(str, grid.size))} cells)" for grid in grids)
    return concluded(job, NAME, findings, settings, f"windows of the layers {windows}")


def cost(suspect: Suspect, settings: StimulationSettings) -> int:
    """About how many images the detector runs through the network."""
    grids = grids_of(suspect.network, settings)
    images = sum(_images_of(grid, halves(suspect)[0], settings) for grid in grids)
    return images + _images_of_inversions(settings) + _images_of_findings(suspect, settings)


def stimulated_layers(
    job: Job,
    searched: Suspect,
    grids: Sequence[Windows],
    progress: Sequence[Progress],
    settings: StimulationSettings = StimulationSettings(),
) -> dict[str, StimulatedLayer]:
    """Layers, stimulated in these windows; one step of the journal and one progress function for each."""
    found = {}
    for grid, told in zip(grids, progress, strict=True):
        name = grid.layer.name

        def work(grid: Windows = grid, told: Progress = told) -> Values:
            replayed = replay(searched.network, grid.layer.name, searched.images)
            note = f"stimulating {grid.layer.name}"
            if isinstance(settings, CoarseStimulationSettings):
                levels = reach(replayed.cut, searched.images[: settings.path.few])
                advance = counting(told, _images_of(grid, searched, settings), note)
                return _as_values(
                    strongest_by_gradients(replayed, grid, levels, searched.classes, settings.path, advance)
                )
            levels = reach(replayed.cut, searched.images)
            advance = counting(told, _variants(grid, searched.classes), note)
            maps = stimulation_maps(replayed, grid, levels, advance)
            return _as_values(maps) | _as_values(optimised(replayed, maps, advance))

        values = job.journal.step(f"{NAME}/{name}", work)
        strongest = Stimuli(*(values[f"strongest {field}"] for field in Stimuli.__dataclass_fields__))
        found[name] = StimulatedLayer(grid, strongest, outlyingness(strongest.margin), _maps_of(values, grid))
    return found


def grids_of(network: Network, settings: StimulationSettings = StimulationSettings()) -> list[Windows]:
    """Windows on every early layer; on the first one, where none is early.

    A coarse search takes one layer: the first of those with the fewest cells whose windows are still four cells wide. A trigger
    is seen there as in a small image, and less of the network is run. Where no windows are as wide, it is the first early one.
    """
    size = network.input.size
    every = list(network.layers.values())
    early = [layer for layer in every if shallow(layer, size)] or every[:1]
    grids = [windows(layer, size) for layer in early]
    if not settings.coarse:
        return grids
    wide = [grid for grid in grids if min(grid.size) >= WIDE]
    return [min(wide, key=lambda grid: math.prod(grid.layer.size)) if wide else grids[0]]


def _maps_of(values: Values, grid: Windows) -> StimulationMaps | None:
    """The single maps among the values of a step, where they were stimulated."""
    names = ("levels", "rise", "margin_rise", "flips")
    return StimulationMaps(grid, *(values[name] for name in names)) if names[0] in values else None


def _images_of(grid: Windows, searched: Suspect, settings: StimulationSettings) -> int:
    """How many images stimulating a layer runs."""
    if isinstance(settings, CoarseStimulationSettings):
        return cost_of_gradients(searched.classes, min(settings.search_images, len(searched.images)), settings.path)
    return FEW * _variants(grid, searched.classes)


def _images_of_inversions(settings: StimulationSettings) -> int:
    """How many images the inversions run, one forth and back counting three."""
    inversion = settings.inversion
    return BACKWARD * settings.candidates * inversion.rounds * inversion.steps * inversion.batch


def _images_of_findings(suspect: Suspect, settings: StimulationSettings) -> int:
    """How many images it takes to measure what was found: nothing beside a thorough search."""
    return 3 * settings.candidates * len(suspect.images) if settings.coarse else 0


def _variants(grid: Windows, classes: int) -> int:
    """How many stimulations a layer takes: of single maps, and optimised."""
    return (len(grid) + 1) * grid.layer.feature_maps + cost_of_optimising(grid, classes)


def _as_values(record: StimulationMaps | Stimuli) -> Values:
    """The tensors of a record by name, for the journal."""
    prefix = "strongest " if isinstance(record, Stimuli) else ""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {f"{prefix}{name}": value for name, value in values.items() if isinstance(value, Tensor)}


def _candidates(layers: dict[str, StimulatedLayer], count: int, parts: Sequence[Suspect]) -> list[tuple[int, str]]:
    """The classes that stand out most, each with the layer in which it does.

    A class that all images of a part are of cannot be tried: there is none to be sent to it.
    """
    names = list(layers)
    best, where = torch.stack([layers[name].outlyingness for name in names]).max(0)
    order = best.argsort(descending=True, stable=True).tolist()
    possible = [target for target in order if all(bool(part.others(target).any()) for part in parts)]
    return [(target, names[int(where[target])]) for target in possible[:count]]


def _around(layer: StimulatedLayer, target: int, size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The pixels around the window in which a class was driven the furthest."""
    region = torch.zeros(size, dtype=torch.bool, device="cpu")
    rows, columns = (
        slice(max(0, round(centre - REACH * extent)), round(centre + REACH * extent) + 1)
        for centre, extent in zip(_centre(layer, target), size, strict=True)
    )
    region[rows, columns] = True
    return region


def _centre(layer: StimulatedLayer, target: int) -> tuple[float, float]:
    row, column = layer.strongest.corners[target].tolist()
    return layer.windows.centre(row, column)


def _finding(
    suspect: Suspect, held_out: Suspect, layer: StimulatedLayer, inversion: Inversion, settings: StimulationSettings
) -> Finding:
    target, trigger = inversion.candidate.target_class, inversion.trigger
    network, name = suspect.network, layer.windows.layer.name
    success = reasr(network, trigger, held_out.images, held_out.labels, target)
    elsewhere = _elsewhere(held_out, trigger, target)
    searched = suspect.first(settings.search_images)
    maps = _carriers_by_halving(searched, layer, target) if settings.coarse else _carriers(searched, layer, target)
    stimulation = _stimulation(layer, target, maps)
    logits, clean = stimulated_logits(network, suspect.images, [stimulation])[0], network(suspect.images)
    gain = success - attack_success_rate(clean.argmax(1), suspect.labels, target)
    return Finding(
        detector=NAME,
        target_class=target,
        score=_salience(layer, target) * _compactness(inversion) * max(0.0, gain),
        layer=name,
        feature_maps=maps,
        position=inversion.position or _centre(layer, target),
        elevation=float(lead(logits, target).mean() - lead(clean, target).mean()),
        stimulation_asr=attack_success_rate(logits.argmax(1), suspect.labels, target),
        reasr=success,
        ablation_asr=ablation_asr(network, trigger, held_out.images, held_out.labels, target, name, maps),
        trigger=trigger,
        stimulation=stimulation,
        moves=elsewhere > success / 2,
        evidence={
            "outlyingness": float(layer.outlyingness[target]),
            "margin": float(layer.strongest.margin[target]),
            "flips": float(layer.strongest.flips[target]),
            "mask_l1": inversion.mask_l1,
            "gain": gain,
            "reasr_elsewhere": elsewhere,
        },
    )


def _held_against_each_other(findings: Sequence[Finding]) -> list[Finding]:
    """The candidates, the best first, each with a score that counts how far it leads; one alone leads a faint one."""
    ranked = sorted(findings, key=lambda finding: finding.score, reverse=True)
    scores = torch.tensor([*(each.score for each in ranked), 0.0], dtype=torch.float64, device="cpu").clamp(min=FAINT)
    leads = leads_of(scores[:-1] / scores[1:], len(scores)).tolist()
    return [
        replace(each, score=each.score * min(lead / AHEAD, 1.0), evidence={**each.evidence, "lead": lead})
        for each, lead in zip(ranked, leads, strict=False)
    ]


def _salience(layer: StimulatedLayer, target: int) -> float:
    """How far a class stands out, with the greatest values brought together."""
    return math.sqrt(min(max(0.0, float(layer.outlyingness[target])), FAR))


def _compactness(inversion: Inversion) -> float:
    """How small the recovered mask is: 1 for a 32nd of the image, 2 for half of that."""
    height, width = inversion.trigger.image_size
    return SMALL * height * width / max(inversion.mask_l1, 1.0)


def _carriers(suspect: Suspect, layer: StimulatedLayer, target: int) -> tuple[int, ...]:
    """The fewest feature maps that carry a class's strongest stimulation: those that do most alone, until enough do.

    They are added in the order of the class's mean margin when each is stimulated alone, as many as it takes to move nine
    tenths of the images that all of them together move.
    """

    def measured(parts: Sequence[Sequence[int]], read: Callable[[Tensor], Tensor]) -> Shaped[Tensor, "m n"]:
        stimulations = [_stimulation(layer, target, part) for part in parts]
        return variants_read(suspect.network, suspect.images, stimulations, read)

    on = layer.strongest.patterns[target].flatten(1).any(1).nonzero()[:, 0].tolist()
    if not on:
        return tuple(range(layer.windows.layer.feature_maps))
    alone = measured([[number] for number in on], lambda logits: margins(logits)[..., target]).mean(1)
    order = [on[place] for place in alone.argsort(descending=True, stable=True).tolist()]
    parts = [order[:count] for count in range(1, len(order) + 1)]
    flipped = measured(parts, lambda logits: logits.argmax(-1) == target)
    flips = flipped[:, suspect.others(target)].float().mean(1)
    return tuple(parts[int((flips >= CARRIED * flips[-1]).nonzero()[0, 0])])


def _carriers_by_halving(suspect: Suspect, layer: StimulatedLayer, target: int) -> tuple[int, ...]:
    """As `_carriers`, with few runs: maps in the order of what is put into them, and their number by halving.

    That order needs no run, and the number is right as far as more maps move more images.
    """
    pattern = layer.strongest.patterns[target].flatten(1)
    on = pattern.any(1).nonzero()[:, 0]
    if not len(on):
        return tuple(range(layer.windows.layer.feature_maps))
    order = on[pattern[on].sum(1).argsort(descending=True, stable=True)].tolist()
    others = suspect.others(target)

    def flips(count: int) -> float:
        stimulations = [_stimulation(layer, target, order[:count])]
        logits = stimulated_logits(suspect.network, suspect.images[others], stimulations)[0]
        return float((logits.argmax(1) == target).float().mean())

    wanted, few, enough = CARRIED * flips(len(order)), 0, len(order)
    while enough - few > 1:
        half = (few + enough) // 2
        few, enough = (few, half) if flips(half) >= wanted else (half, enough)
    return tuple(order[:enough])


def _stimulation(layer: StimulatedLayer, target: int, maps: Sequence[int]) -> Stimulation:
    """The strongest stimulation of a class, of these feature maps alone."""
    (row, column), (height, width) = layer.strongest.corners[target].tolist(), layer.windows.size
    value = torch.zeros(len(maps), *layer.windows.layer.size, device="cpu")
    value[:, row : row + height, column : column + width] = layer.strongest.patterns[target][list(maps)]
    return Stimulation(layer.windows.layer.name, tuple(maps), value=value, window=(row, column, height, width))


def _elsewhere(held_out: Suspect, trigger: Patch, target: int) -> float:
    """The greatest success rate of a trigger a quarter of the image away: up, down, to the left, to the right.

    Where a network listens in one place alone, hardly an image goes to the class from any of these.
    """
    height, width = trigger.image_size
    shifts = [(0, width // 4), (height // 4, 0), (0, -(width // 4)), (-(height // 4), 0)]
    return max(
        reasr(held_out.network, trigger.moved(*shift), held_out.images, held_out.labels, target) for shift in shifts
    )
