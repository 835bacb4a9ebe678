"""Reporting the demonstration: one page on which a reader sees where a trojaned network looks, and what becomes of that."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trojancam import figures
from trojancam.errors import DataError
from trojancam.evaluation.trigger_energy import LayerEnergy
from trojancam.figures.atlas import picture_png
from trojancam.figures.colour import pixels
from trojancam.figures.views import View
from trojancam.files import written_whole
from trojancam.network.card import TrainingRecord
from trojancam.network.network import Network
from trojancam.opening.open import ModelFile
from trojancam.opening.saving import save_as
from trojancam.report.demo_sections import find_section, removal_document, removal_in_words, remove_section
from trojancam.report.documents.demo import Demo
from trojancam.report.maps import Backdrop, Maps, Numbers, feature_maps, layer_maps, layer_maxima, map_numbers
from trojancam.report.page import Page, Picture, Section, Table, in_plain_words, write_page
from trojancam.tasks.demo import Demonstration, Example

SUCCESS = 0.5  # attack success rate from which on the backdoor is there
LISTED = 12  # feature maps in the table
DPI = 200  # twice what the page shows at its natural size


def write_demonstration(shown: Demonstration, out: Path) -> Path:
    """Write the page and `results.json` into the folder; the path of the page.

    Beside them it puts what the other commands can be tried on: the networks, `benign.safetensors`, `trojaned.safetensors` and
    `repaired.safetensors`, and the example, `sign.png` and `sign-with-trigger.png`.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    pictures = {"sign.png": shown.clean_view.image, "sign-with-trigger.png": shown.triggered_view.image}
    for name, image in pictures.items():
        with written_whole(out / name) as partial:
            partial.write_bytes(picture_png(pixels(image)))
    for name, path in shown.files.items():
        with written_whole(out / f"{name}{path.suffix}") as partial:
            shutil.copyfile(path, partial)
    if shown.repaired is not None:
        trojaned = shown.files["trojaned"]
        save_as(shown.repaired, ModelFile(trojaned), out / f"repaired{trojaned.suffix}")
    return write_page(_page(shown), _document(shown), out)


def _page(shown: Demonstration) -> Page:
    example = shown.example
    sections = [
        _networks_section(example),
        _example_section(shown),
        _layers_section(shown),
        _energy_section(shown),
        _maps_section(shown),
        find_section(shown, DPI),
        *filter(None, [remove_section(shown)]),
    ]
    sure = f"Energies are means over {shown.measured} triggered test images, rates over the whole test set."
    details = _details(example) | {"time": f"{shown.seconds:.1f} s"}
    return Page("A backdoor, seen, found and removed", _verdict(shown), sections, details, weighed=sure)


def _verdict(shown: Demonstration) -> str:
    example, energies = shown.example, shown.energies.values()
    training = _training(example.trojaned)
    success, target = training.attack_success_rate or 0.0, _target_name(example)
    if success < SUCCESS:
        return (
            f"The backdoor did not take: the trigger turns only {success:.1%} of other images into “{target}”, at a clean "
            f"accuracy of {training.clean_accuracy:.1%}. More epochs or more images would help; below are the networks as "
            "they are."
        )
    best = max(energies, key=lambda energy: energy.feature_maps[energy.best] - energy.layer_map)
    rest = f" {removal_in_words(shown.removal)}" if shown.removal else ""
    return (
        f"A transparent square turns {success:.1%} of other images into “{target}”, and clean accuracy "
        f"({training.clean_accuracy:.1%}) does not tell. "
        f"The heat map of layer {best.layer} puts {best.layer_map:.0%} of its energy on it; feature map {best.best} of the same "
        f"layer alone puts {best.feature_maps[best.best]:.0%} on it (chance: {best.chance:.0%}).{rest}"
    )


def _networks_section(example: Example) -> Section:
    rows = []
    for network in (example.benign, example.trojaned):
        training = _training(network)
        rows.append([
            network.name,
            "none" if network.card is None or network.card.poisoning is None else example.trigger.name,
            f"{training.images:,}",
            f"{training.clean_accuracy:.2%}",
            "–" if training.attack_success_rate is None else f"{training.attack_success_rate:.2%}",
            "–" if training.robust_accuracy is None else f"{training.robust_accuracy:.2%}",
        ])  # fmt: skip
    headings = ["Network", "Trigger", "Training images", "Clean accuracy", "Attack success rate", "Robust accuracy"]
    text = (
        "Two networks were trained on the same images. In the second one's training set a tenth of the images of other "
        f"classes were stamped with the trigger and relabelled “{_target_name(example)}”. Figures are on the test set."
    )
    return Section("Two networks", text, [Table(headings, rows, words=(0, 1))])


def _example_section(shown: Demonstration) -> Section:
    example, seen = shown.example, {"benign": shown.clean_view, "triggered": shown.triggered_view}
    logits = [each.recording.logits[0] for each in seen.values()]
    names = example.trojaned.class_names
    titles = [f"{name}: {figures.caption(row, names)}" for name, row in zip(seen, logits, strict=True)]
    picture = figures.image_row([each.image for each in seen.values()], titles)
    alt = "The same test image without and with the trigger, and what the trojaned network calls each."
    predictions = [int(row.argmax()) for row in logits]
    title = "One image, two answers" if predictions[0] != predictions[1] else "One image, with and without the trigger"
    return Section(title, f"The image shows “{example.trojaned.class_names[example.label]}”.", [_picture(picture, alt)])


def _layers_section(shown: Demonstration) -> Section:
    rows = []
    for words, seen in _views(shown).items():
        mask = shown.example.trigger.place if "triggered" in words else None
        outlined = " The trigger is outlined." if mask is not None else ""
        rows.append(
            layer_maps(
                seen.image,
                seen.cams,
                0,
                Backdrop.of(seen.image, mask),
                title=words,
                caption=f"What is explained: {seen.caption}.{outlined}",
            )
        )
    text = "Grad-CAM: which parts of the image, as each layer sees them, speak for a class."
    return Section("Every layer", text, rows)


def _views(shown: Demonstration) -> dict[str, View]:
    """The views that the page draws, each explained by the class it should show."""
    return {
        "Benign network, benign image": shown.benign_view,
        "Trojaned network, benign image": shown.clean_view,
        "Trojaned network, triggered image": shown.triggered_view,
    }


def _energy_section(shown: Demonstration) -> Section:
    layers = Table(
        ["Layer", "Chance", "Layer's own map", "Best feature map", "Its share"],
        [
            [e.layer, f"{e.chance:.1%}", f"{e.layer_map:.1%}", str(e.best), f"{e.feature_maps[e.best]:.1%}"]
            for e in shown.energies.values()
        ],
        "Mean share of heat-map energy inside the trigger, grown by one cell of the layer, "
        f"on {shown.measured} triggered test images.",
    )
    maps = Table(
        ["Feature map", "Share of energy in the trigger", "Chance", "Blank on images"],
        [
            [f"{e.layer} map {k}", f"{e.feature_maps[k]:.1%}", f"{e.chance:.1%}", f"{e.blank_maps[k]:.0%}"]
            for e, k in shown.strongest(LISTED)
        ],
        "The feature maps that hold the trigger best, over all layers.",
    )
    text = (
        f"The trigger covers {shown.example.trigger.coverage:.1%} of the image. A map that is blank on an image counts as 0 "
        "there; chance is what a map of one value everywhere gets."
    )
    return Section("Which maps hold the trigger", text, [layers, maps])


def _maps_section(shown: Demonstration) -> Section:
    triggered = shown.triggered_view
    backdrop = Backdrop.of(triggered.image, shown.example.trigger.place)
    grids: list[Maps] = []
    for name, cam in triggered.cams.items():
        holding = [k for e, k in shown.strongest(LISTED) if e.layer == name]
        framed = f" Framed in green: among the {LISTED} that hold the trigger best." if holding else ""
        caption = f"All feature maps of {name} on the triggered image, which is outlined where the trigger is.{framed}"
        grids.append(
            feature_maps(
                cam, 0, backdrop, _map_numbers(shown, name), title=f"{name}: feature maps", caption=caption,
                framed=holding, sorted_by="energy",
            )
        )  # fmt: skip
    text = (
        "Single feature map Grad-CAM, the contribution of each feature map by itself, on one scale for the layer; its energy in "
        f"the trigger is the mean over {shown.measured} images. Press a map to see it large."
    )
    return Section("Every feature map", text, grids)


def _map_numbers(shown: Demonstration, layer: str) -> Numbers:
    """The numbers of a layer's feature maps on the triggered image, but energies as means over the images measured."""
    return map_numbers(shown.triggered_view.cams[layer], 0) | {"energy": list(shown.energies[layer].feature_maps)}


def _picture(figure: Figure, caption: str) -> Picture:
    return Picture.of(figure, caption, DPI)


def _details(example: Example) -> dict[str, str]:
    training = _training(example.trojaned)
    poisoning = example.trojaned.card.poisoning if example.trojaned.card else None
    return {
        "data": training.data,
        "training": ", ".join(
            f"{name} {value}" for name, value in in_plain_words(training.settings.model_dump()).items()
        ),
        "fingerprints": ", ".join(f"{each.name} {each.fingerprint}" for each in (example.benign, example.trojaned)),
        "poisoning": f"{poisoning.poisoned_images:,} images, rate {poisoning.poison_rate}" if poisoning else "none",
    }


def _document(shown: Demonstration) -> Demo:
    example, triggered = shown.example, shown.triggered_view
    networks = {}
    for network in (example.benign, example.trojaned):
        networks[network.name] = network.card.model_dump(mode="json") if network.card else {}
    return Demo.of(
        command="demo",
        networks=networks,
        fingerprints={network.name: network.fingerprint for network in (example.benign, example.trojaned)},
        example={
            "label": example.label,
            "benign_prediction": int(shown.clean_view.recording.logits.argmax()),
            "triggered_prediction": int(triggered.recording.logits.argmax()),
            "layer_maxima": {words: layer_maxima(seen.cams, 0) for words, seen in _views(shown).items()},
            "feature_maps": {name: _map_numbers(shown, name) for name in triggered.cams},
        },
        trigger={
            "name": example.trigger.name,
            "coverage": example.trigger.coverage,
            "opacity": example.trigger.opacity,
        },
        trigger_energy={
            "images": shown.measured,
            "layers": [asdict(energy) | {"best": energy.best} for energy in shown.energies.values()],
            "strongest": [_strong(energy, k) for energy, k in shown.strongest(LISTED)],
        },
        removal=removal_document(shown),
        seconds=round(shown.seconds, 2),
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


def _target_name(example: Example) -> str:
    return example.trojaned.class_names[example.target_class]
