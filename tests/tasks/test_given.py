"""Tasks take images, labels and classes in any form that a user has them in, and answer the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trojancam.errors import DataError, UnknownNameError
from trojancam.network.network import Network
from trojancam.stimulation import Stimulation
from trojancam.tasks.compare import compare
from trojancam.tasks.explain import explain
from trojancam.tasks.inspect import inspect
from trojancam.tasks.scan import scan
from trojancam.tasks.stimulate import stimulate

NAMES = ("red", "green", "blue")
LABELS = [0, 1, 2, 0, 1, 2]
FORMS: dict[str, Callable[[Tensor], object]] = {
    "array": lambda bytes_: bytes_.numpy() / 255,
    "bytes": lambda bytes_: bytes_,
    "pixels by rows": lambda bytes_: bytes_.permute(0, 2, 3, 1).numpy(),
    "list": lambda bytes_: list(bytes_.numpy()),
}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network.from_module(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)).eval(),
        (10, 10),
        class_names=NAMES,
    )


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(0, 256, (6, 3, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
def test_images_and_classes_in_any_form(network: Network, pixels: Tensor, form: str) -> None:
    floats, given = pixels / 255, FORMS[form](pixels)
    expected, found = explain(network, floats, target=2), explain(network, given, target="blue")  # type: ignore[arg-type]
    torch.testing.assert_close(found[5].attributions["0"].heatmap(), expected[5].attributions["0"].heatmap())
    one, other = (
        compare(network, images, ["grad-cam", "centre"], layers="0", target=target)  # type: ignore[arg-type]
        for images, target in ((floats, 2), (given, "blue"))
    )
    assert str(one) == str(other)
    times = Stimulation("0", 1, value=3.0)
    near, far = (
        stimulate(network, images, labels, [times], target)  # type: ignore[arg-type]
        for images, labels, target in ((floats, torch.tensor(LABELS), 1), (given, LABELS, "green"))
    )
    assert near.logit_changes == pytest.approx(far.logit_changes, abs=1e-5)


@pytest.mark.parametrize(
    "labels", [LABELS, np.array(LABELS), [NAMES[label] for label in LABELS]], ids=["list", "array", "names"]
)
def test_labels_in_any_form(network: Network, pixels: Tensor, labels: object, tmp_path: Path) -> None:
    brief = {"neural-cleanse": {"inversion.rounds": 1}}
    expected = scan(network, pixels / 255, torch.tensor(LABELS), "neural-cleanse", settings=brief)
    found = scan(network, pixels.numpy(), labels, "neural-cleanse", settings=brief)  # type: ignore[arg-type]
    assert found.report.score == pytest.approx(expected.report.score, rel=1e-4)
    assert str(found.report) == str(expected.report)
    file = network.save(tmp_path / "network.pt2")
    assert inspect(file, pixels.numpy(), labels).images == 6  # type: ignore[arg-type]


def test_a_single_image_is_explained_and_what_does_not_fit_is_refused(network: Network, pixels: Tensor) -> None:
    assert len(explain(network, pixels[0].numpy())) == 1
    with pytest.raises(UnknownNameError, match="unknown class 'bleu' .did you mean 'blue'"):
        explain(network, pixels, target="bleu")
    with pytest.raises(DataError, match="divide them by 255"):
        explain(network, pixels.float())
    with pytest.raises(DataError, match="there are 2 labels for 6 images"):
        stimulate(network, pixels, [0, 1], [Stimulation("0", 1, value=1.0)])
