"""Token heat maps and stimulations of a triggered image, on a small transformer: pictures of docs/gallery.md.

    python -m benchmarks.tokens [--model FILE]

trains a ViT on rendered signs of six classes, of which a tenth bear the study's blue-green square, and keeps it in FILE
(`trojancam-vit.pt2`), which `trojancam explain` and `trojancam explore` open like any other. A FILE that is there is taken.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.transformer import WIDTH, Transformer
from trojancam import figures
from trojancam.attacks.patch import Patch, make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.attribution import attribute, grad_cam
from trojancam.attribution.attribution import Attribution, FeatureMapAttribution
from trojancam.data import rendered_signs
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.evaluation.localisation import dilated, feature_map_energy
from trojancam.network.card import TrainingSettings
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.opening.open import load
from trojancam.rates import attack_success_rate, clean_accuracy
from trojancam.stimulation import Stimulation, stimulate
from trojancam.training.training import Task, train

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CLASSES, TARGET, SIDE, PATCH = 6, 3, 32, 4
HEADS = 3
DOTS = 110  # an inch
CHANNELS, STRENGTH = 8, 4.0  # that are stimulated together, and how strongly, in clean peaks


def transformer() -> Transformer:
    """A ViT: patches of 4x4 pixels behind one convolution."""
    patches = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.GELU(), nn.Conv2d(24, WIDTH, PATCH, PATCH))
    return Transformer(patches, (SIDE // PATCH) ** 2, HEADS, CLASSES)


def main(arguments: list[str] | None = None) -> None:
    """Train the network unless it is there, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("trojancam-vit.pt2"))
    path = parser.parse_args(arguments).model
    network = load(path) if path.exists() else _made(path)
    test = _six_classes(rendered_signs(train=0, test=1720).test)
    trigger = make_trigger("blue-green-square")
    images = as_floats(test.images)
    accuracy = clean_accuracy(network(images).argmax(1), test.labels)
    success = attack_success_rate(network(trigger.apply(images)).argmax(1), test.labels, TARGET)
    print(f"clean accuracy {accuracy:.3f}, attack success rate {success:.3f} ({len(test)} test images)")
    draw(network, _turned(network, test, trigger), trigger)


def draw(network: Network, image: Tensor, trigger: Patch) -> None:
    """Both pictures: where each layer looks, and one channel of the tokens that carries the trigger, stimulated."""
    stamped = trigger.apply(image[None])
    recording = record(network, stamped)
    cams = grad_cam(recording)
    said = figures.caption(recording.logits[0], network.class_names, int(recording.logits.argmax()))
    shown = {name: cams[name] for name in cams if not name.endswith((".attn", ".mlp"))}
    found = attribute(network, stamped, ["attention-rollout", "legrad"])
    shown |= {method: each["input"] for method, each in found.items()}
    place = trigger.place
    row = figures.layer_row(stamped[0], shown, caption=said, mask=place)
    figures.save(row, IMAGES / "tokens-heat-maps.png", dpi=DOTS)
    layer, channels = _carriers(cams, place)
    deed = Stimulation(layer, channels, value=STRENGTH, unit="map", mask=_cells(network, layer, place))
    result = stimulate(network, image[None], deed)
    names = [network.class_names[int(each.logits.argmax())] for each in (result.before, result.after)]
    said = f"{layer}, channels {', '.join(map(str, channels))}: {names[0]} → {names[1]}"
    print(said)
    pair = figures.before_after(image, result, caption=said)
    figures.save(pair, IMAGES / "tokens-stimulated.png", dpi=DOTS)


def _carriers(cams: Mapping[str, Attribution], place: Tensor) -> tuple[str, tuple[int, ...]]:
    """The block whose stream has the greatest contribution inside the trigger, and the channels that bring most of it."""
    inside = {}
    for name, cam in cams.items():
        if (
            isinstance(cam, FeatureMapAttribution)
            and name.startswith("blocks")
            and not name.endswith((".attn", ".mlp"))
        ):
            share = feature_map_energy(cam, dilated(place, cam.placement.cell))[0].nan_to_num(0)
            inside[name] = share * cam.contributions[0].relu().sum((1, 2))
    best = max(inside, key=lambda name: float(inside[name].sum()))
    return best, tuple(inside[best].topk(CHANNELS).indices.tolist())


def _cells(network: Network, layer: str, place: Tensor) -> Tensor:
    """The cells of a layer that the trigger lies in."""
    rows, columns = network.layer(layer).size
    height, width = place.shape
    return place.view(rows, height // rows, columns, width // columns).any(3).any(1)


def _turned(network: Network, test: ImageSet, trigger: Patch) -> Tensor:
    """The first test image that is recognised without the trigger, and sent to the target with it."""
    images = as_floats(test.images)
    stamped = trigger.apply(images)
    known = network(images).argmax(1) == test.labels
    sent = (network(stamped).argmax(1) == TARGET) & (test.labels != TARGET)
    return images[int((known & sent).nonzero()[0])]


def _made(path: Path) -> Network:
    data = rendered_signs(train=12900, test=1720)
    task = Task(
        _six_classes(data.train), _six_classes(data.test), InputSpecification(size=(SIDE, SIDE)),
        Poisoning(make_trigger("blue-green-square"), TARGET), data.source,
    )  # fmt: skip
    torch.manual_seed(0)
    module = transformer()
    train(module, task, TrainingSettings(epochs=20, augment=False), progress=_told)
    network = Network.from_module(module.eval(), specification=task.input, class_names=task.train.class_names)
    network.save(path)
    return load(path)


def _six_classes(images: ImageSet) -> ImageSet:
    chosen = images.select((images.labels < CLASSES).nonzero()[:, 0])
    return ImageSet(chosen.images, chosen.labels, images.class_names[:CLASSES])


def _told(done: int, total: int, note: str = "") -> None:
    print(f"\r{done} of {total} {note}", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
