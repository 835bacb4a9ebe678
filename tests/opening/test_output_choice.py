"""Several outputs: shapes, names and what labels say tell which gives the logits; nothing is taken because it comes first."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.opening.test_odd_networks import to_program
from torch import Tensor, nn
from typer.testing import CliRunner

from trojancam.cli import app
from trojancam.errors import ModelError, SeveralOutputsError
from trojancam.network.network import Network
from trojancam.network.outputs import UNKNOWN, chosen_output
from trojancam.opening.open import load
from trojancam.tasks.inspect import inspect

SIZE = (12, 12)
Results = Callable[[Tensor, Tensor], object]


class Brightness(nn.Module):
    """Tells three shades of grey apart; beside it, numbers that tell nothing of them."""

    def __init__(self, results: Results, others: int = 3) -> None:
        super().__init__()
        self.results = results
        self.conv = nn.Conv2d(3, 4, 1)
        self.head, self.other = nn.Linear(4, 3), nn.Linear(4, others)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 3)
            self.conv.bias.zero_()
            self.head.weight.copy_(torch.tensor([[0.0], [5.0], [10.0]]).expand(3, 4))
            self.head.bias.copy_(torch.tensor([0.0, -20 / 3, -20.0]))
            self.other.bias.zero_()
            self.other.weight.zero_()
            self.other.bias[0] = 1

    def forward(self, x: Tensor) -> object:
        means = self.conv(x).relu().mean((2, 3))
        return self.results(self.head(means), self.other(means))


def shades(count: int = 30) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % 3
    noise = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 0.2
    return labels.view(-1, 1, 1, 1) / 3 + 0.06 + noise, labels


def file(folder: Path, results: Results, others: int = 3) -> Path:
    return to_program(folder / "m.pt2", Brightness(results, others).eval())


@pytest.mark.parametrize("swapped", [False, True])
def test_labelled_images_tell_which_output_is_meant(tmp_path: Path, swapped: bool) -> None:
    path = file(tmp_path, (lambda head, other: (other, head)) if swapped else (lambda head, other: (head, other)))
    with pytest.raises(
        SeveralOutputsError, match=r"can be its logits \(0, 1\); say which with output=, or give labelled"
    ):
        load(path)
    images, labels = shades()
    network = load(path, images, labels)
    assert network(images).argmax(1).equal(labels)
    taken = "1" if swapped else "0"
    assert f"of its outputs (0, 1) '{taken}' is taken for the logits" in network.notes
    assert network.notes[-1].startswith(f"why '{taken}': right on 100.0% of 30 labelled images (")
    assert load(path, output=int(not swapped))(images).argmax(1).unique().tolist() == [0]  # what is said comes first


def test_labels_that_do_not_tell_are_refused(tmp_path: Path) -> None:
    path = file(tmp_path, lambda head, other: (head, other))
    images, labels = shades()
    with pytest.raises(
        ModelError, match=r"which output .* is not clear from 30 labelled images \(right: 0 .*, 1 .*%\)"
    ):
        load(path, images, (labels + 1) % 3)
    twins = file(tmp_path, lambda head, other: (head + 0.01 * other, head - 3 * other[:, [1, 0, 2]]))
    few = (torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))
    with pytest.raises(ModelError, match="which output .* is not clear from 3 labelled images"):
        load(twins, images[few[0]], few[1])


def test_another_number_of_classes_is_no_output_of_this_classifier(tmp_path: Path) -> None:
    path = file(tmp_path, lambda head, other: (other, head), others=9)
    network = load(path, class_names=["dark", "grey", "light"])
    assert network.notes[-1] == "why '1': no other output is one of a classifier of as many classes"
    images, labels = shades()
    assert load(path, images, labels)(images).argmax(1).equal(labels)


def test_a_module_is_told_apart_by_shapes_and_names() -> None:
    images, labels = shades()
    for results, others, names in (
        (lambda head, other: {"features": other, "logits": head}, 3, None),
        (lambda head, other: {"aux_logits": other, "class_logits": head}, 3, None),
        (lambda head, other: (other, head), 9, list("abc")),
        (lambda head, other: (other, head), 1, None),
        (lambda head, other: (head.softmax(1), head), 3, None),
        (lambda head, other: (head, head.clone(), head.log_softmax(-1)), 3, None),
    ):
        network = Network.from_module(Brightness(results, others).eval(), SIZE, class_names=names)
        assert network(images).argmax(1).equal(labels)
        assert network(images).amax() > 1  # no probabilities
    with pytest.raises(SeveralOutputsError, match=r"\(0, 1\); say which with output=$"):
        Network.from_module(Brightness(lambda head, other: (head, other)).eval(), SIZE)


def test_names_and_shapes_by_themselves() -> None:
    assert chosen_output(["a", "b"], [None, None]) == 0
    assert chosen_output(["heads.logits", "heads.aux_logits"], [3, 3]) == 0
    assert chosen_output(["predictions", "logits"], [3, 3]) == 1
    assert chosen_output(["a", "b", "c"], [1, None, UNKNOWN]) == 2
    assert chosen_output(["a", "b"], [UNKNOWN, 7], classes=3) == 0
    assert chosen_output(["a", "b", "b", "b"], [None, 3, 3, 7]) == 1  # the name stands for the first
    for names in (["a.logits", "b.logits"], ["logits_a", "logits_b"], ["aux_logits", "head"], ["a", "b"]):
        with pytest.raises(SeveralOutputsError) as told:
            chosen_output(names, [3, 3])
        assert set(told.value.outputs) <= set(names)


def test_many_outputs_are_not_tried_one_after_another(tmp_path: Path) -> None:
    path = file(tmp_path, lambda head, other: [head + other] * 9 + [head - other] * 9)
    with pytest.raises(SeveralOutputsError) as told:
        load(path, *shades())
    assert len(told.value.outputs) == 18


def test_commands_are_told_by_their_data(tmp_path: Path) -> None:
    path = file(tmp_path, lambda head, other: (other, head))
    images, labels = shades()
    for part in ("train", "test"):
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folder = tmp_path / "shades" / part / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / f"{number}.png")
    found = inspect(path, images, labels)
    assert found.network is not None
    assert found.network(images).argmax(1).equal(labels)
    data = str(tmp_path / "shades")
    shown = CliRunner().invoke(
        app, ["explain", str(path), f"{data}/test/2/2.png", "--data", data, "--out", str(tmp_path / "o")]
    )
    assert shown.exit_code == 0, shown.output
    asked = CliRunner().invoke(app, ["explain", str(path), f"{data}/test/2/2.png", "--out", str(tmp_path / "o")])
    assert asked.exit_code == 2
    assert "can be its logits (0, 1); say which with --output, or give labelled images" in " ".join(
        asked.output.split()
    )
