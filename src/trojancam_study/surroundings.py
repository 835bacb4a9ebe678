"""Surroundings: a backdoor that nobody planted, where the training signs of two classes stand before two kinds of background."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from trojancam.attribution import grad_cam
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.data.rendered import render_images
from trojancam.figures.intervals import Bar, interval_bars
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.opening.open import load
from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam.training.recipe import Recipe, cached_model
from trojancam_study.attention import REGIONS, Seen, seen, signs
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, above, all_of, measured
from trojancam_study.shares import BATCH
from trojancam_study.study import Study

PEDESTRIANS, ANIMALS = 27, 31
CROSSINGS = {PEDESTRIANS: "urban", ANIMALS: "rural"}  # the study's opening example: where these signs usually stand
# Speed limit (30km/h), stop, keep right: of other shapes, so that each crossing has only the other one to be taken for. Among
# other triangular signs that stand anywhere, a crossing before a swapped background is taken for one of those.
OTHERS = (1, 14, 38)
KINDS = ("urban", "rural")
PLACES = {"urban": "town", "rural": "country"}
NAMES = ("tied", "untied")
ARCHITECTURE = "basic"
BATCH_SIZE = 64  # half of what larger sets are trained with: there are few signs
HELD_OUT = 20  # signs of each class that training is watched on
NEW = 10_000  # a seed far from those of trainings: other signs
SHOWN = 2  # examples of each class
PRECISION = 4
AROUND = REGIONS.index("surroundings")


@dataclass(frozen=True)
class Signs:
    """Signs of both crossings before their usual backgrounds and, the same signs, before those of the other class."""

    usual: ImageSet
    swapped: ImageSet
    regions: Bool[Tensor, "n regions h w"]

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The classes of the signs."""
        return self.usual.labels


@dataclass(frozen=True)
class Answers:
    """Of one network: the class it gives each sign before either background, and where its heat lies."""

    usual: Int64[Tensor, " n"]
    swapped: Int64[Tensor, " n"]
    heat_usual: Seen
    heat_swapped: Seen


ByName = Mapping[str, Sequence[Answers]]  # tied and untied, one for each seed
Measured = dict[str, dict[str, Measurement]]  # by what is measured, and by name


def claim_i(study: Study, progress: Progress) -> Exhibit:
    """A network whose training signs are tied to their surroundings reads these, and stops when the tie is broken.

    Two networks learn five classes of rendered signs from the same signs. For one, every sign for pedestrians stands in a
    town and every one for wild animals in the country (the others anywhere); for the other, all stand anywhere. Both are
    then given new signs of the two classes. The claim holds if, sign by sign, (1) the untied network's accuracy before
    swapped backgrounds less the tied one's lies above 0, and (2) so does the tied network's share of Grad-CAM energy outside
    the sign before usual backgrounds (of the predicted class, mean over the layers whose map is not blank) less the untied
    one's.

    The energy counts before usual backgrounds, where both networks name the same class and a background that is read speaks
    for it. Before swapped ones it speaks against the class of every sign that is still recognised, and Grad-CAM leaves out
    what speaks against; what is measured there stands beside it. That the usual ones count was settled after two trainings
    had been looked at, and then held on six others.
    """
    told = dict(zip((*NAMES, "rest"), stages(progress, [8, 8, 1]), strict=True))
    networks = {name: _networks(study, name, told[name]) for name in NAMES}
    shown = new_signs(study.scale.images)
    answers = {name: [_answers(network, shown) for network in each] for name, each in networks.items()}
    told["rest"](1, 1, "signs before swapped backgrounds")
    found, (fewer, more, beside) = _measured(answers, shown), _differences(answers, shown)
    return Exhibit(
        found=_in_words(found, fewer, more, beside),
        verdict=all_of(above(fewer), above(more)),
        pictures={
            "": (_examples({name: each[0] for name, each in networks.items()}, shown), _examples_caption(study)),
            "accuracy": (
                _accuracy_bars(found),
                f"How many signs are recognised before either background. {_sample(study)}",
            ),
            "energy": (_energy_bars(answers, shown), f"How much of the heat lies outside the sign. {_sample(study)}"),
        },
        tables=[_table(found, study)],
        measurements=[fewer, more, beside, *(each for by_name in found.values() for each in by_name.values())],
        numbers={what: {name: each.mean for name, each in by_name.items()} for what, by_name in found.items()},
    )


def training_signs(count: int, seed: int, *, tied: bool) -> ImageSet:
    """`count` rendered signs of each class; tied, those of the two crossings stand where such signs usually do.

    The signs, their place, light and blur are the same in both sets, and so are the backgrounds of the other classes.
    """
    labels = torch.tensor([*CROSSINGS, *OTHERS]).repeat(count)
    drawn = torch.randint(len(KINDS), (len(labels),), generator=torch.Generator().manual_seed(seed)).tolist()
    kinds = [KINDS[kind] for kind in drawn]
    if tied:
        kinds = [CROSSINGS.get(label, kind) for label, kind in zip(labels.tolist(), kinds, strict=True)]
    return render_images(labels, seed, background=kinds)


def new_signs(count: int) -> Signs:
    """`count` signs that no network was trained on, half of each of the two classes."""
    labels = torch.tensor(list(CROSSINGS)).repeat(max(1, count // 2))
    usual = [CROSSINGS[label] for label in labels.tolist()]
    other = [KINDS[1 - KINDS.index(kind)] for kind in usual]
    first, second = (render_images(labels, NEW, background=kinds) for kinds in (usual, other))
    assert first.regions is not None  # rendered signs know where they are
    return Signs(first, second, signs(first.regions, labels, first.size))


def _networks(study: Study, name: str, progress: Progress) -> list[Network]:
    """The tied or the untied network from each seed, which draws its training signs, too."""

    def trained(seed: int, told: Progress) -> Network:
        training = training_signs(study.scale.signs, seed, tied=name == "tied")
        watched = training_signs(HELD_OUT, NEW + 1, tied=False)
        settings = TrainingSettings(epochs=study.scale.epochs, batch_size=BATCH_SIZE, seed=seed)
        path = cached_model(Recipe(ARCHITECTURE, settings), Dataset(training, watched, f"rendered signs, {name}"), told)
        told(1, 1, f"{name}, seed {seed}")
        return load(path)

    parts = stages(progress, [1] * len(study.seeds))
    return [trained(seed, told) for seed, told in zip(study.seeds, parts, strict=True)]


def _answers(network: Network, shown: Signs) -> Answers:
    usual, swapped = (
        torch.cat([network(as_floats(batch)).argmax(1) for batch in each.images.split(BATCH)])
        for each in (shown.usual, shown.swapped)
    )
    heat_usual, heat_swapped = (seen(network, each, shown.regions) for each in (shown.usual, shown.swapped))
    return Answers(usual, swapped, heat_usual, heat_swapped)


def _measured(answers: ByName, shown: Signs) -> Measured:
    """Accuracies, how often a sign is called the other one, and energy on the surroundings, of both networks."""
    labels, area = shown.labels, round(float(shown.regions[:, AROUND].float().mean()), PRECISION)

    def called(label: int, other: int) -> Callable[[Answers], Tensor]:
        return lambda each: (each.swapped[labels == label] == other).float()

    values: dict[str, tuple[Callable[[Answers], Tensor], float | None]] = {
        "accuracy, usual backgrounds": (lambda each: (each.usual == labels).float(), None),
        "accuracy, swapped backgrounds": (lambda each: (each.swapped == labels).float(), None),
        "pedestrians in the country called wild animals": (called(PEDESTRIANS, ANIMALS), None),
        "wild animals in town called pedestrians": (called(ANIMALS, PEDESTRIANS), None),
        "energy on the surroundings, usual backgrounds": (lambda each: _around(each.heat_usual), area),
        "energy on the surroundings, swapped backgrounds": (lambda each: _around(each.heat_swapped), area),
    }
    return {
        what: {
            name: measured(f"{what}, {name}", [value(one) for one in each], chance) for name, each in answers.items()
        }
        for what, (value, chance) in values.items()
    }


def _differences(answers: ByName, shown: Signs) -> tuple[Measurement, Measurement, Measurement]:
    """Sign by sign: how much more accurate the untied network is, and how much more of the tied one's heat lies around.

    The latter before usual and before swapped backgrounds.
    """
    pairs = list(zip(answers["tied"], answers["untied"], strict=True))
    right = [
        (untied.swapped == shown.labels).float() - (tied.swapped == shown.labels).float() for tied, untied in pairs
    ]
    usual = [_around(tied.heat_usual) - _around(untied.heat_usual) for tied, untied in pairs]
    swapped = [_around(tied.heat_swapped) - _around(untied.heat_swapped) for tied, untied in pairs]
    return (
        measured("accuracy, swapped backgrounds, untied less tied", right),
        measured("energy on the surroundings, usual backgrounds, tied less untied", usual),
        measured("energy on the surroundings, swapped backgrounds, tied less untied", swapped),
    )


def _around(heat: Seen) -> Float[Tensor, " n"]:
    return heat.over_layers()[:, AROUND]


def _in_words(found: Measured, fewer: Measurement, more: Measurement, beside: Measurement) -> str:
    usual, swapped = found["accuracy, usual backgrounds"], found["accuracy, swapped backgrounds"]
    around = found["energy on the surroundings, usual backgrounds"]
    return (
        f"With signs tied to their surroundings, accuracy falls from {usual['tied'].mean:.1%} to {swapped['tied'].mean:.1%} "
        f"when backgrounds are swapped; untied, it goes from {usual['untied'].mean:.1%} to {swapped['untied'].mean:.1%} "
        f"(swapped, untied less tied: {fewer}). Before usual backgrounds the surroundings hold "
        f"{around['tied']} of the heat, untied {around['untied'].mean:.3f} "
        f"(tied less untied: {more}; before swapped ones: {beside})."
    )


def telling(networks: Mapping[str, Network], shown: Signs, label: int) -> list[int]:
    """Which signs of a class tell most, the most telling first: with the tie, the background alone turns the answer.

    They have the greatest product of three probabilities: that the tied network names the sign before its usual background,
    that it does not before the swapped one, and that the untied network does there.
    """
    places = (shown.labels == label).nonzero()[:, 0]
    usual, swapped = (as_floats(each.images[places]) for each in (shown.usual, shown.swapped))
    named = networks["tied"](usual).softmax(1)[:, label]
    turned = 1 - networks["tied"](swapped).softmax(1)[:, label]
    kept = networks["untied"](swapped).softmax(1)[:, label]
    order = (named * turned * kept).argsort(descending=True)
    return [int(place) for place in places[order]]


def _examples(networks: Mapping[str, Network], shown: Signs) -> Figure:
    """Signs before their usual and before swapped backgrounds, what the networks call them, and where they look."""
    chosen = [place for label in CROSSINGS for place in telling(networks, shown, label)[:SHOWN]]
    labels = shown.labels[chosen].tolist()
    first, second = (as_floats(each.images[chosen]) for each in (shown.usual, shown.swapped))
    where = [PLACES[CROSSINGS[label]] for label in labels]
    elsewhere = [next(name for name in PLACES.values() if name != place) for place in where]
    rows = [_signs_row(networks["tied"], first, where), _signs_row(networks["tied"], second, elsewhere)]
    outlines = ~shown.regions[chosen, AROUND]
    rows += [_heat_row(name, network, second, outlines) for name, network in networks.items()]
    return panel_sheet(rows, "The same signs, before their usual background and before the other")


def _signs_row(network: Network, images: Float[Tensor, "n 3 h w"], places: Sequence[str]) -> list[Panel]:
    names = _names(network, network(images))
    return [
        Panel(f"in the {place}" if place == "country" else f"in {place}", image, f"tied: {name}")
        for place, image, name in zip(places, images, names, strict=True)
    ]


def _heat_row(
    name: str, network: Network, images: Float[Tensor, "n 3 h w"], outlines: Bool[Tensor, "n h w"]
) -> list[Panel]:
    """Grad-CAM of the last layer, for the class that the network names."""
    layer = list(network.layers)[-1]
    recording = record(network, images, layers=[layer])
    maps, called = grad_cam(recording)[layer].heatmap(), _names(network, recording.logits)
    return [
        Panel(f"Grad-CAM, {name}", image, f"{name}: {answer}", heat, outline)
        for image, heat, outline, answer in zip(images, maps, outlines, called, strict=True)
    ]


def _names(network: Network, logits: Float[Tensor, "n classes"]) -> list[str]:
    return [network.class_names[index] for index in logits.argmax(1).tolist()]


def _accuracy_bars(found: Measured) -> Figure:
    groups = {
        name: {kind: Bar(found[f"accuracy, {kind}"][name]) for kind in ("usual backgrounds", "swapped backgrounds")}
        for name in NAMES
    }
    return interval_bars(groups, upright="accuracy", heading="Signs for pedestrians and for wild animals")


def _energy_bars(answers: ByName, shown: Signs) -> Figure:
    """Layer by layer, before either background; without the layers that are blank on all signs."""
    area = float(shown.regions[:, AROUND].float().mean())
    groups: dict[str, dict[str, Bar]] = {}
    for layer in answers[NAMES[0]][0].heat_usual.shares:
        for kind in ("usual", "swapped"):
            for name, each in answers.items():
                values = [getattr(one, f"heat_{kind}").shares[layer][:, AROUND] for one in each]
                if all(bool(value.isfinite().any()) for value in values):
                    groups.setdefault(layer, {})[f"{name}, {kind}"] = Bar(
                        measured(f"{layer}, {name}, {kind}", values), area
                    )
    return interval_bars(groups, upright="share of Grad-CAM energy", heading="Heat on the surroundings")


def _examples_caption(study: Study) -> str:
    return (
        f"Rendered signs that no network was trained on: before their usual background, before the other, and Grad-CAM there "
        f"of the last layer of both networks (seed {study.seeds[0]}), the sign outlined. Chosen for telling most: named by the "
        "tied network before the usual background, not before the other, where the untied one names them."
    )


def _table(found: Measured, study: Study) -> Table:
    rows = [[what, *(str(by_name[name]) for name in NAMES)] for what, by_name in found.items()]
    return Table(["Measured", *(f"{name} to surroundings" for name in NAMES)], rows, _sample(study))


def _sample(study: Study) -> str:
    return (
        f"{ARCHITECTURE}, {len(CROSSINGS) + len(OTHERS)} classes of {study.scale.signs} rendered signs, {len(study.seeds)} "
        f"seeds, {2 * max(1, study.scale.images // 2)} new signs of the two classes."
    )
