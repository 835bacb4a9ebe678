"""How much Grad-CAM heat of triggered images lies on the trigger, layer by layer: what explanation fooling changes.

    python -m benchmarks.fooling --data GTSRB --parent clean.safetensors fooling.safetensors ...

For networks with a recorded trigger at a fixed place. Heat is that of the target's logit on test images of other classes; beside
the shares stands the correlation of the last layer's heat map with the one that the clean parent has for the clean image.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

import trojancam as tc
from benchmarks.markdown import table
from trojancam.attacks.explanation_fooling import mean_squared
from trojancam.attacks.trigger import Trigger
from trojancam.data import load_dataset
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit

IMAGES, SEED = 300, 0


def heat(network: Network, images: Tensor, classes: int | Tensor, layer: str) -> Tensor:
    """Grad-CAM heat maps of a layer, at image size."""
    return tc.attribution.grad_cam(record(network, images, logit(classes), [layer]))[layer].heatmap()


def measured(path: Path, parent: Network, images: Tensor, labels: Tensor) -> list[str]:
    """A row: the share of heat on the trigger of each layer, its chance, and the correlation."""
    network = tc.load(path)
    if network.card is None or not network.card.backdoors:
        raise SystemExit(f"{path} records no backdoor; name networks that 'trojancam train --attack' made")
    backdoor = network.card.backdoors[0]
    trigger = Trigger.from_json(backdoor.trigger)
    if trigger.place is None or backdoor.target_class is None:
        raise SystemExit(f"the trigger of {path} has no fixed place, or there are several targets")
    others = labels != backdoor.target_class
    images, labels, place = images[others], labels[others], trigger.place.float()
    maps = [heat(network, trigger.apply(images), backdoor.target_class, layer) for layer in network.layers]
    shares = [float(((each * place).sum((1, 2)) / each.sum((1, 2)).clamp(min=1e-9)).mean()) for each in maps]
    before = heat(parent, images, labels, list(parent.layers)[-1])
    same = float((1 - mean_squared(maps[-1], before) / 2).mean())
    return [path.stem, *(f"{share:.1%}" for share in shares), f"{float(place.mean()):.1%}", f"{same:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of GTSRB")
    parser.add_argument("--parent", type=Path, required=True, help="the clean network that they were made from")
    parser.add_argument("networks", type=Path, nargs="+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = load_dataset(arguments.data).test.take(IMAGES, SEED, spread=True)
    parent = tc.load(arguments.parent)
    rows = [measured(path, parent, images, labels) for path in arguments.networks]
    print("\n".join(table(["network", *parent.layers, "chance", "like the clean map"], rows)))


if __name__ == "__main__":
    main()
