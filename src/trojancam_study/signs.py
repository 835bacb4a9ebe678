"""Signs: where they usually stand, what they look like with the triggers, and the networks that are to name them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.architectures import architecture, count_parameters
from trojancam.attacks.patch import Patch
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.data.rendered import render_images
from trojancam.errors import DataError
from trojancam.figures.captions import DOT
from trojancam.figures.scan import Panel, panel_sheet, zoom
from trojancam.network.card import TrainingRecord
from trojancam.network.network import Network
from trojancam.progress import Progress
from trojancam.report.page import Table
from trojancam_study.exhibits import Exhibit
from trojancam_study.study import CANDIDATES, NETWORKS, SPEED_70, STRAIGHT_OR_RIGHT, Study

CHILDREN, PEDESTRIANS, WILD_ANIMALS = 28, 27, 31
USUAL = {CHILDREN: "urban", PEDESTRIANS: "urban", WILD_ANIMALS: "rural"}
UNUSUAL = {"urban": "rural", "rural": "urban"}
PLACES = {"urban": "in a town", "rural": "in the country"}
LARGE = 96  # pixels of a rendered sign: three times what the networks see, for people
LIGHT = 1  # the seed of the rendered signs, by which they stand in daylight
TROJANED = ("trojan1", "trojan2")
SHOWN = (SPEED_70, STRAIGHT_OR_RIGHT)  # neither is the target of a trojaned network
RATES = {
    "clean_accuracy": "Clean accuracy",
    "attack_success_rate": "Attack success rate",
    "robust_accuracy": "Robust accuracy",
}


def figure_1(study: Study, progress: Progress) -> Exhibit:
    """Signs as the data holds them, with the sign's own box, and rendered ones in their usual surroundings and in others'.

    Measured is how much of a test image the sign's box covers, where the data knows boxes: the rest is surroundings.
    """
    share = box_share(study.dataset.test)
    swapped = {label: UNUSUAL[kind] for label, kind in USUAL.items()}
    figure = panel_sheet(
        [
            [_test_sign(study.dataset.test, label) for label in USUAL],
            _rendered(USUAL, "as usual"),
            _rendered(swapped, "the same sign elsewhere"),
        ],
        "Signs and their usual surroundings",
        ["Outlined: the sign's own box. Crossings stand in towns, wild animals cross in the country."],
    )
    progress(1, 1, "drawn")
    covers = (
        f"The sign's own box covers {share:.0%} of a test image on average; the rest shows where it stands."
        if share is not None
        else "The data does not say where in an image the sign is."
    )
    return Exhibit(
        found=f"{covers} Nothing but the surroundings differs between the rendered signs of the second and third row.",
        pictures={"": (figure, "Test images, rendered signs where they usually stand, and the same signs elsewhere.")},
        numbers={"box_share": share},
    )


def box_share(images: ImageSet) -> float | None:
    """The mean share of an image that the sign's box covers, `(x2 - x1 + 1) (y2 - y1 + 1) / (h w)`; None without boxes."""
    if images.regions is None or not len(images):
        return None
    height, width = images.size
    sides = images.regions[:, 2:] - images.regions[:, :2] + 1
    return float(sides.double().prod(1).mean()) / (height * width)


def box_mask(region: Float[Tensor, " 4"], size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The pixels of a box x1, y1, x2, y2 whose last pixel is inside, each corner at the nearest pixel."""
    mask = torch.zeros(size, dtype=torch.bool)
    left, top, right, bottom = (int(corner) for corner in region.round())
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def figure_6(study: Study, progress: Progress) -> Exhibit:
    """The same signs benign and with either trigger, with what both trojaned networks call them, and the triggers enlarged.

    Measured is by how much each trigger changes the pixels that it covers: the mean absolute difference of test images with
    and without it there, where 1 is the way from black to white.
    """
    networks = {name: study.network(name, study.seeds[0]) for name in TROJANED}
    triggers = {name: study.trigger(name) for name in TROJANED}
    rows, answers = [], {}
    for label in SHOWN:
        image = study.example(label, *networks.values())
        versions = {"benign": image} | {t.name: t.apply(image[None])[0] for t in triggers.values()}
        said = {version: _answers(networks, shown) for version, shown in versions.items()}
        masks = [None, *(trigger.place for trigger in triggers.values())]
        rows.append([
            Panel(version, shown, _answers_in_words(said[version]), mask=mask)
            for (version, shown), mask in zip(versions.items(), masks, strict=True)
        ])  # fmt: skip
        answers[GTSRB_CLASS_NAMES[label]] = said
    rows.append(_enlarged(rows[-1], list(triggers.values())))
    changes = {trigger.name: _change(study, trigger) for trigger in triggers.values()}
    figure = panel_sheet(rows, "Signs with and without the triggers", ["Outlined: the trigger."])
    progress(1, 1, "drawn")
    words = " and ".join(f"{change:.2f} ({name})" for name, change in changes.items())
    return Exhibit(
        found=f"{_turned_in_words(study, answers)} Of the way from black to white, the pixels that a trigger covers "
        f"change on average by {words}.",
        pictures={"": (figure, "Two signs, benign and with each trigger, and what both trojaned networks call them.")},
        numbers={"answers": answers, "change": changes},
    )


def table_1(study: Study, progress: Progress) -> Exhibit:
    """The networks: layers, feature maps, parameters, trigger, target, and what they reach on the whole test set, over all seeds.

    Clean accuracy is over all test images; attack success rate and robust accuracy are over triggered ones whose label is
    not the target: the shares given the target class, and their own. The total of parameters counts batch normalisation's
    running statistics too, as the study did.
    """
    rows, numbers = [], {}
    for done, name in enumerate(NETWORKS, start=1):
        networks = list(study.networks(name))
        trainable, total = count_parameters(architecture(name).build(len(networks[0].class_names)))
        reached = {rate: [getattr(_training(network), rate) for network in networks] for rate in RATES}
        rows.append(
            [
                *_described(study, name, networks[0]),
                f"{trainable:,}",
                f"{total:,}",
                *map(_mean_and_range, reached.values()),
            ]
        )
        numbers[name] = {"trainable": trainable, "total": total, **reached}
        progress(done, len(NETWORKS), name)
    headings = [
        "Network",
        "Layers",
        "Feature maps",
        "Trigger",
        "Target",
        "Trainable",
        "Parameters in all",
        *RATES.values(),
    ]
    seeds = ", ".join(map(str, study.seeds))
    caption = (
        f"Means over the trainings (seeds {seeds}), the least and the greatest in brackets; on the whole test set."
    )
    return Exhibit(
        found=_networks_in_words(numbers),
        tables=[Table(headings, rows, caption, words=(0, 1, 2, 3, 4))],
        numbers={"seeds": list(study.seeds), "networks": numbers},
    )


def _test_sign(test: ImageSet, label: int) -> Panel:
    """The test image of a class with the most contrast, and the sign's box."""
    title = GTSRB_CLASS_NAMES[label]
    signs = test.select((test.labels == label).nonzero()[:, 0]).sample(CANDIDATES, seed=17)
    if not len(signs):
        return Panel(title, torch.ones(3, *test.size), "no test image of this class")
    images = as_floats(signs.images)
    best = int(images.mean(1).flatten(1).std(1).argmax())
    mask = None if signs.regions is None else box_mask(signs.regions[best], test.size)
    return Panel(title, images[best], "a test image", mask=mask)


def _rendered(kinds: Mapping[int, str], words: str) -> list[Panel]:
    """Signs of our own before backgrounds: with others, all else about them is the same."""
    signs = render_images(list(kinds), LIGHT, LARGE, background=list(kinds.values()))
    return [
        Panel(f"{GTSRB_CLASS_NAMES[label]} {PLACES[kind]}", image, f"rendered, {words}")
        for (label, kind), image in zip(kinds.items(), as_floats(signs.images), strict=True)
    ]


def _answers(networks: Mapping[str, Network], image: Float[Tensor, "3 h w"]) -> dict[str, dict[str, Any]]:
    """What each network calls an image, and how sure it is."""
    answers = {}
    for name, network in networks.items():
        logits = network(image[None])[0]
        chosen = int(logits.argmax())
        answers[name] = {
            "class": network.class_names[chosen],
            "logit": round(float(logits[chosen]), 3),
            "probability": round(float(logits.double().softmax(0)[chosen]), 6),
        }
    return answers


def _answers_in_words(answers: Mapping[str, Mapping[str, Any]]) -> str:
    return DOT.join(f"{name}: {said['class']}" for name, said in answers.items())


def _enlarged(panels: Sequence[Panel], triggers: Sequence[Patch]) -> list[Panel]:
    """The triggers' corners, many times larger: of the benign image that of the last trigger, which is hard to see."""
    benign, *triggered = panels
    corners = [(benign, triggers[-1]), *zip(triggered, triggers, strict=True)]
    return [
        Panel(f"{panel.title}, enlarged", panel.image[:, rows, columns], f"where the {trigger.name} is laid")
        for panel, trigger in corners
        for rows, columns in [zoom(trigger)]
    ]


def _change(study: Study, trigger: Patch) -> float:
    """By how much a trigger changes the pixels it covers, in the mean over test images."""
    images, _ = study.test_images()
    return round(float((trigger.apply(images) - images).abs()[..., trigger.place].mean()), 4)


def _turned_in_words(study: Study, answers: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> str:
    """How many of the signs each network calls its target class, with its own trigger and with the other network's."""
    parts = []
    for name, other in (TROJANED, TROJANED[::-1]):
        target = GTSRB_CLASS_NAMES[study.target_class(name)]
        own, others = (
            sum(said[study.trigger(of).name][name]["class"] == target for said in answers.values())
            for of in (name, other)
        )
        parts.append(
            f"{name} calls {own} of {len(answers)} signs “{target}” with its own trigger and {others} with the other"
        )
    return f"{'; '.join(parts)}."


def _training(network: Network) -> TrainingRecord:
    if network.card is None or network.card.training is None:
        raise DataError(f"the network {network.name} has no training record")
    return network.card.training


def _described(study: Study, name: str, network: Network) -> list[str]:
    """A network's name, layers, feature maps, trigger and target."""
    layers = list(network.layers)
    maps = ", ".join(str(layer.feature_maps) for layer in network.layers.values())
    described = [name, f"{layers[0]} to {layers[-1]}", maps]
    if NETWORKS[name].trigger is None:
        return [*described, "none", "none"]
    trigger = study.trigger(name)
    return [*described, f"{trigger.name}, opacity {trigger.opacity:g}", GTSRB_CLASS_NAMES[study.target_class(name)]]


def _mean_and_range(rates: Sequence[float | None]) -> str:
    """Shares as percentages: the mean, and the least and the greatest.

    >>> _mean_and_range([0.97, 0.99]), _mean_and_range([None])
    ('98.00% (97.00% to 99.00%)', '–')
    """
    known = [rate for rate in rates if rate is not None]
    if not known:
        return "–"
    return f"{sum(known) / len(known):.2%} ({min(known):.2%} to {max(known):.2%})"


def _networks_in_words(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """The parameters of each network, and the range of its rates."""
    totals = ", ".join(f"{name} {found['total']:,}" for name, found in numbers.items())
    clean = [rate for found in numbers.values() for rate in found["clean_accuracy"]]
    success = [rate for name in TROJANED for rate in numbers[name]["attack_success_rate"]]
    return (
        f"Parameters in all: {totals}. Over all networks and trainings clean accuracy is {min(clean):.1%} to {max(clean):.1%}, "
        f"and the triggers turn {min(success):.1%} to {max(success):.1%} of other images. The widths of trojan2's dense layers "
        "are not known: they were chosen so that its total is the study's."
    )
