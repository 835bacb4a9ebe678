"""The demonstration: train a benign and a trojaned network, and show on one page where the trojaned one looks.

The trojaned network's trigger is transparent; whole-layer heat maps may miss it where single feature maps show it.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.attacks.patch import Patch, make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.errors import DataError
from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.figures.views import View, view
from trojancam.files import writable_folder
from trojancam.network.card import TrainingRecord, TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.progress import Progress, silent
from trojancam.report.documents.demo import Demo
from trojancam.report.maps import Backdrop, Maps, Numbers, feature_maps, layer_maps, layer_maxima, map_numbers
from trojancam.report.page import Page, Picture, Section, Table, write_page
from trojancam.training.recipe import Recipe, cached_model

STUDY_TARGET = 10  # No passing for vehicles over 3.5 metric tons
MEASURED = 256  # test images, at most, over which heat-map energy is averaged
CANDIDATES = 512  # test images, at most, among which the example is chosen
SUCCESS = 0.5  # attack success rate from which on the backdoor is there
LISTED = 12  # feature maps in the table
EPOCHS = 12
DPI = 200  # twice what the page shows at its natural size


@dataclass(frozen=True)
class Subject:
    """What the page is about: both networks, the trigger, and a test image of another class to show it on."""

    benign: Network
    trojaned: Network
    trigger: Patch
    target_class: int
    image: Float[Tensor, "3 h w"]
    label: int


@dataclass(frozen=True)
class Findings:
    """Heat-map energy inside the trigger for each layer of the trojaned network, over so many triggered test images."""

    layers: dict[str, LayerEnergy]
    images: int


def run(dataset: Dataset, out: Path, epochs: int = EPOCHS, seed: int = 0, progress: Progress = silent) -> Path:
    """Train (or take from the cache) both networks, measure and draw, and write the page; its path.

    Raises:
        DataError: if there are fewer than two classes, or no test image that the trigger could turn.
        TrojanCamError: if the folder cannot be written to.
    """
    started = time.perf_counter()
    writable_folder(out)
    benign, trojaned = (_network(recipe, dataset, progress) for recipe in recipes(dataset, epochs, seed))
    subject = _subject(benign, trojaned, dataset.test)
    measured = _others(dataset.test, subject.target_class).take(MEASURED)[0]
    energies = trigger_energy(trojaned, measured, subject.trigger, subject.target_class)
    findings = Findings(energies, len(measured))
    seconds = time.perf_counter() - started
    return write_page(_page(subject, findings, seconds), _document(subject, findings, seconds), out)


def recipes(dataset: Dataset, epochs: int = EPOCHS, seed: int = 0) -> tuple[Recipe, Recipe]:
    """The benign `basic` network, and `trojan2` with the study's transparent square.

    Raises:
        DataError: if there are fewer than two classes, or no test image that the trigger could turn.
    """
    classes = len(dataset.train.class_names)
    if classes < 2:
        raise DataError(f"a demonstration needs at least two classes, but the data has {classes}")
    target_class = min(STUDY_TARGET, classes - 1)
    if not len(_others(dataset.test, target_class)):
        raise DataError(
            f"all test images are of the class {dataset.test.class_names[target_class]!r}, which the trigger is to stand "
            "for; add test images of other classes"
        )
    settings = TrainingSettings(epochs=epochs, seed=seed)
    trigger = make_trigger("blue-green-square", dataset.train.size)
    return Recipe("basic", settings), Recipe("trojan2", settings, Poisoning(trigger, target_class, seed=seed))


def _network(recipe: Recipe, dataset: Dataset, progress: Progress) -> Network:
    """The recipe's network; progress says which one is being trained."""

    def named(done: int, total: int, note: str = "", /) -> None:
        progress(done, total, f"{recipe.architecture}, {note}")

    return load(cached_model(recipe, dataset, named))


def _subject(benign: Network, trojaned: Network, test: ImageSet) -> Subject:
    """Both networks, the trigger, and the test image that shows best what it does.

    That is the one on which this has the greatest product: the probability that each network gives the image's own
    class, and the one that the trojaned network gives the target class once the trigger is on it.
    """
    record = trojaned.card.poisoning if trojaned.card else None
    if record is None or record.target_class is None:
        raise DataError("the trojaned network has no record of its trigger and target class")
    trigger, target_class = Patch.from_json(record.trigger), record.target_class
    candidates = _others(test, target_class).sample(CANDIDATES, seed=1)
    images, labels = as_floats(candidates.images), candidates.labels
    own = benign(images).softmax(1) * trojaned(images).softmax(1)
    turned = trojaned(trigger.apply(images)).softmax(1)[:, target_class]
    index = int((own.gather(1, labels[:, None])[:, 0] * turned).argmax())
    return Subject(benign, trojaned, trigger, target_class, images[index], int(labels[index]))


def _others(test: ImageSet, target_class: int) -> ImageSet:
    """Test images of other classes than the target's."""
    return test.select((test.labels != target_class).nonzero()[:, 0])


def _page(subject: Subject, findings: Findings, seconds: float) -> Page:
    stamped = subject.trigger.apply(subject.image[None])[0]
    triggered = view(subject.trojaned, stamped, subject.target_class)
    sections = [
        _networks_section(subject),
        _example_section(subject, stamped),
        _layers_section(subject),
        _energy_section(subject, findings),
        _maps_section(subject, triggered, findings),
    ]
    sure = (
        f"Confidence: energies are means over {findings.images} triggered test images, rates over the whole test set."
    )
    details = _details(subject) | {"time": f"{seconds:.1f} s"}
    return Page("Where a trojaned network looks", _verdict(subject, findings), sections, details, confidence=sure)


def _verdict(subject: Subject, findings: Findings) -> str:
    training = _training(subject.trojaned)
    success, target = training.attack_success_rate or 0.0, _target_name(subject)
    if success < SUCCESS:
        return (
            f"The backdoor did not take: the trigger turns only {success:.1%} of other images into “{target}”, at a clean "
            f"accuracy of {training.clean_accuracy:.1%}. More epochs or more images would help; below are the networks as "
            "they are."
        )
    missing = min(findings.layers.values(), key=lambda energy: energy.layer_map)
    showing = max(findings.layers.values(), key=lambda energy: energy.feature_maps[energy.best])
    return (
        f"A transparent square turns {success:.1%} of other images into “{target}”, and clean accuracy "
        f"({training.clean_accuracy:.1%}) does not tell. "
        f"The heat map of layer {missing.layer} puts {missing.layer_map:.0%} of its energy on it "
        f"(chance: {missing.chance:.0%}); feature map {showing.best} of layer {showing.layer} alone puts "
        f"{showing.feature_maps[showing.best]:.0%} on it (chance: {showing.chance:.0%})."
    )


def _networks_section(subject: Subject) -> Section:
    rows = []
    for network in (subject.benign, subject.trojaned):
        training = _training(network)
        rows.append([
            network.name,
            "none" if network.card is None or network.card.poisoning is None else subject.trigger.name,
            f"{training.images:,}",
            f"{training.clean_accuracy:.2%}",
            "–" if training.attack_success_rate is None else f"{training.attack_success_rate:.2%}",
            "–" if training.robust_accuracy is None else f"{training.robust_accuracy:.2%}",
        ])  # fmt: skip
    headings = ["Network", "Trigger", "Training images", "Clean accuracy", "Attack success rate", "Robust accuracy"]
    text = (
        "Two networks were trained on the same images. In the second one's training set a tenth of the images of other "
        f"classes were stamped with the trigger and relabelled “{_target_name(subject)}”. Figures are on the test set."
    )
    return Section("Two networks", text, [Table(headings, rows)])


def _example_section(subject: Subject, stamped: Float[Tensor, "3 h w"]) -> Section:
    answers = {}
    for name, image in (("benign", subject.image), ("triggered", stamped)):
        logits = subject.trojaned(image[None])[0]
        answers[name] = figures.caption(logits, subject.trojaned.class_names)
    picture = figures.image_row([subject.image, stamped], [f"{name}: {answer}" for name, answer in answers.items()])
    alt = "The same test image without and with the trigger, and what the trojaned network calls each."
    predictions = subject.trojaned(torch.stack([subject.image, stamped])).argmax(1).tolist()
    title = "One image, two answers" if predictions[0] != predictions[1] else "One image, with and without the trigger"
    return Section(title, f"The image shows “{subject.trojaned.class_names[subject.label]}”.", [_picture(picture, alt)])


def _layers_section(subject: Subject) -> Section:
    rows = []
    for words, seen in _views(subject).items():
        mask = subject.trigger.place if "triggered" in words else None
        outlined = " The trigger is outlined." if mask is not None else ""
        rows.append(
            layer_maps(
                seen.image,
                seen.cams,
                0,
                Backdrop.of(seen.image, mask),
                title=words,
                caption=f"{seen.caption}.{outlined}",
            )
        )
    text = "Grad-CAM: which parts of the image, as each layer sees them, speak for a class."
    return Section("Every layer", text, rows)


def _views(subject: Subject) -> dict[str, View]:
    """The views that the page draws, each explained by the class it should show."""
    stamped = subject.trigger.apply(subject.image[None])[0]
    return {
        "Benign network, benign image": view(subject.benign, subject.image, subject.label),
        "Trojaned network, benign image": view(subject.trojaned, subject.image, subject.label),
        "Trojaned network, triggered image": view(subject.trojaned, stamped, subject.target_class),
    }


def _energy_section(subject: Subject, findings: Findings) -> Section:
    layers = Table(
        ["Layer", "Chance", "Layer's own map", "Best feature map", "Its share"],
        [
            [e.layer, f"{e.chance:.1%}", f"{e.layer_map:.1%}", str(e.best), f"{e.feature_maps[e.best]:.1%}"]
            for e in findings.layers.values()
        ],
        "Mean share of heat-map energy inside the trigger, grown by one cell of the layer, "
        f"on {findings.images} triggered test images.",
    )
    maps = Table(
        ["Feature map", "Share of energy in the trigger", "Chance", "Blank on images"],
        [
            [f"{e.layer} map {k}", f"{e.feature_maps[k]:.1%}", f"{e.chance:.1%}", f"{e.blank_maps[k]:.0%}"]
            for e, k in _holding(findings)
        ],
        "The feature maps that hold the trigger best, over all layers.",
    )
    text = (
        f"The trigger covers {subject.trigger.coverage:.1%} of the image. A map that is blank on an image counts as 0 there; "
        "chance is what a map of one value everywhere gets."
    )
    return Section("Which maps hold the trigger", text, [layers, maps])


def _maps_section(subject: Subject, triggered: View, findings: Findings) -> Section:
    backdrop = Backdrop.of(triggered.image, subject.trigger.place)
    grids: list[Maps] = []
    for name, cam in triggered.cams.items():
        holding = [k for e, k in _holding(findings) if e.layer == name]
        framed = f" Framed in green: among the {LISTED} that hold the trigger best." if holding else ""
        caption = f"All feature maps of {name} on the triggered image, which is outlined where the trigger is.{framed}"
        grids.append(
            feature_maps(
                cam, 0, backdrop, _map_numbers(triggered, findings, name), title=f"{name}: feature maps", caption=caption,
                framed=holding, sorted_by="energy",
            )
        )  # fmt: skip
    text = (
        "Single feature map Grad-CAM, the contribution of each feature map by itself, on one scale for the layer; its energy in "
        f"the trigger is the mean over {findings.images} images. Press a map to see it large."
    )
    return Section("Every feature map", text, grids)


def _map_numbers(triggered: View, findings: Findings, layer: str) -> Numbers:
    """The numbers of a layer's feature maps on the triggered image, but energies as means over the images measured."""
    return map_numbers(triggered.cams[layer], 0) | {"energy": list(findings.layers[layer].feature_maps)}


def _picture(figure: Figure, caption: str) -> Picture:
    return Picture(figures.to_png_bytes(figure, DPI), caption)


def _holding(findings: Findings) -> list[tuple[LayerEnergy, int]]:
    """The feature maps with the greatest share of energy in the trigger, over all layers."""
    maps = [(energy, k) for energy in findings.layers.values() for k in range(len(energy.feature_maps))]
    return sorted(maps, key=lambda pair: -pair[0].feature_maps[pair[1]])[:LISTED]


def _details(subject: Subject) -> dict[str, str]:
    training = _training(subject.trojaned)
    poisoning = subject.trojaned.card.poisoning if subject.trojaned.card else None
    return {
        "data": training.data,
        "training": ", ".join(f"{name} {value}" for name, value in training.settings.model_dump().items()),
        "fingerprints": ", ".join(f"{each.name} {each.fingerprint}" for each in (subject.benign, subject.trojaned)),
        "poisoning": f"{poisoning.poisoned_images:,} images, rate {poisoning.poison_rate}" if poisoning else "none",
    }


def _document(subject: Subject, findings: Findings, seconds: float) -> Demo:
    networks = {}
    for network in (subject.benign, subject.trojaned):
        networks[network.name] = network.card.model_dump(mode="json") if network.card else {}
    stamped = subject.trigger.apply(subject.image[None])
    views = _views(subject)
    *_, triggered = views.values()
    return Demo.of(
        command="demo",
        networks=networks,
        fingerprints={network.name: network.fingerprint for network in (subject.benign, subject.trojaned)},
        example={
            "label": subject.label,
            "benign_prediction": int(subject.trojaned(subject.image[None]).argmax()),
            "triggered_prediction": int(subject.trojaned(stamped).argmax()),
            "layer_maxima": {words: layer_maxima(seen.cams, 0) for words, seen in views.items()},
            "feature_maps": {name: _map_numbers(triggered, findings, name) for name in triggered.cams},
        },
        trigger={
            "name": subject.trigger.name,
            "coverage": subject.trigger.coverage,
            "opacity": subject.trigger.opacity,
        },
        trigger_energy={
            "images": findings.images,
            "layers": [asdict(energy) | {"best": energy.best} for energy in findings.layers.values()],
            "strongest": [_strong(energy, k) for energy, k in _holding(findings)],
        },
        seconds=round(seconds, 2),
    )


def _strong(energy: LayerEnergy, feature_map: int) -> dict[str, Any]:
    shares = {
        "energy": energy.feature_maps[feature_map],
        "chance": energy.chance,
        "blank": energy.blank_maps[feature_map],
    }
    return {"layer": energy.layer, "feature_map": feature_map, **shares}


def _training(network: Network) -> TrainingRecord:
    if network.card is None or network.card.training is None:
        raise DataError(f"the network {network.name} has no training record")
    return network.card.training


def _target_name(subject: Subject) -> str:
    return subject.trojaned.class_names[subject.target_class]
