"""Opening: what is said beside a file, what the file says, and what labelled images say, in that order."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.cli.test_options import shades
from tests.nets import unchecked
from torch import Tensor, nn
from typer.testing import CliRunner

import trojancam as tc
from trojancam.cli import app
from trojancam.detection.effort import COARSE
from trojancam.errors import DataError, ModelError, Remedy, UnknownNameError
from trojancam.network.input import GIVEN, UNKNOWN, InputSpecification
from trojancam.opening.open import ModelFile, load, opened

SIZE = (64, 48)
BYTES = InputSpecification(size=SIZE, std=(1 / 255,) * 3)


def images_of_shades() -> tuple[Tensor, Tensor]:
    """Images of the three shades that `shades` tells apart, with a little noise."""
    labels = torch.arange(12) % 3
    noise = torch.rand(12, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 0.1
    return 0.31 * labels.view(-1, 1, 1, 1) + 0.05 + noise, labels


def test_labelled_images_tell_how_it_is_fed(tmp_path: Path) -> None:
    images, labels = images_of_shades()
    network = load(shades(tmp_path / "m.onnx"), images, labels)
    assert network.input.std == BYTES.std  # red and blue count alike in it
    assert network.feeding.vouched
    assert "-bytes, found by trying: right on 100.0% of 12 labelled images" in network.feeding.words
    assert network(images).argmax(1).equal(labels)


def test_labels_of_any_kind_will_do(tmp_path: Path) -> None:
    images, labels = images_of_shades()
    assert load(shades(tmp_path / "m.onnx"), images, labels.tolist()).input.std == BYTES.std


def test_images_say_their_size_where_the_file_leaves_it_open(tmp_path: Path) -> None:
    images, labels = images_of_shades()
    path = shades(tmp_path / "m.onnx", size=("h", "w"))
    found = load(path, images, labels).input
    assert (found.size, found.std) == (SIZE, BYTES.std)
    with pytest.raises(ModelError, match=r"of what size its images are; say it with size=\(height, width\)"):
        load(path)
    assert load(path, size=20).input.size == (20, 20)
    assert load(path, preprocessing=BYTES).input.size == SIZE


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only with their labels"):
        load(shades(tmp_path / "m.onnx"), images_of_shades()[0])


@pytest.mark.parametrize(
    ("said", "words", "vouched"),
    [
        ({}, UNKNOWN.words, False),
        ({"preprocessing": "rgb-bytes"}, "rgb-bytes, as given", True),
        ({"preprocessing": BYTES}, GIVEN.words, True),
    ],
    ids=["nobody", "a usual way", "in full"],
)
def test_a_network_knows_who_vouches_for_how_it_is_fed(
    tmp_path: Path, said: dict[str, str | InputSpecification], words: str, vouched: bool
) -> None:
    network = load(shades(tmp_path / "m.onnx"), **said)  # type: ignore[arg-type]
    assert (network.feeding.words, network.feeding.vouched) == (words, vouched)
    assert bool(network.feeding.doubt) is not vouched


def test_what_is_said_comes_before_what_images_say(tmp_path: Path) -> None:
    images, labels = images_of_shades()
    assert load(shades(tmp_path / "m.onnx"), images, labels, preprocessing="rgb-unit").input == InputSpecification(
        size=SIZE
    )


class Small(nn.Module):
    """A network of two classes."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 4, 3)
        self.tell = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.tell(self.look(images).relu().mean((2, 3)))


def small_for(num_classes: int) -> nn.Module:
    """A builder of the user's own."""
    return Small(num_classes)


@pytest.mark.parametrize("architecture", [Small, small_for, Small(5), lambda: Small(5)], ids=type)
def test_the_architecture_may_be_a_module_or_what_builds_one(
    tmp_path: Path, architecture: nn.Module | Callable[..., nn.Module]
) -> None:
    module, images = Small(5), torch.rand(3, 3, 8, 8)
    torch.save(module.state_dict(), tmp_path / "m.pt")
    before = copy.deepcopy(architecture)
    network = load(tmp_path / "m.pt", architecture=architecture, size=8)
    torch.testing.assert_close(network(images), module(images))
    if isinstance(architecture, nn.Module) and isinstance(before, nn.Module):
        assert all(value.equal(before.state_dict()[name]) for name, value in architecture.state_dict().items())


def test_what_is_no_architecture_is_refused(tmp_path: Path) -> None:
    torch.save(Small().state_dict(), tmp_path / "m.pt")
    sentence = "an architecture is a name, a module or a callable that builds one, not a int"
    with unchecked(), pytest.raises(ModelError, match=sentence):
        opened(ModelFile(tmp_path / "m.pt", architecture=3, size=8))  # type: ignore[arg-type]


def test_weights_alone_ask_for_an_architecture(tmp_path: Path) -> None:
    torch.save(Small().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match="say which with architecture=: one of this library's .basic, ") as raised:
        load(tmp_path / "m.pt")
    assert raised.value.remedies == (Remedy.ARCHITECTURE,)


def test_class_names_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    path = shades(tmp_path / "m.onnx")
    (tmp_path / "names.txt").write_text("[red] ring\nstop\nyield\n\n")
    assert load(path).named is False
    for names in (["[red] ring", "stop", "yield"], tmp_path / "names.txt"):
        network = load(path, class_names=names)
        assert network.class_names == ("[red] ring", "stop", "yield")
        assert network.named


def test_a_scan_says_that_nobody_vouches_for_how_the_network_is_fed(tmp_path: Path) -> None:
    images, labels = images_of_shades()
    path = shades(tmp_path / "m.onnx")
    remark, better, coarse = tc.scan(load(path), images, labels, "stimulation").remarks
    assert remark.startswith(
        "The network is fed pixels in [0, 1] (assumed: the file does not say; check with labelled images). "
    )
    assert better.startswith("The network is right on ")
    assert "scan it with that preprocessing" in better
    assert coarse == COARSE  # of 64 x 48 pixels
    network = load(path, images, labels)
    assert tc.scan(network, images, labels, "stimulation").remarks == (COARSE,)
    assert tc.scan(network.without_card(), images, labels, "stimulation").remarks == (COARSE,)
    assert network.without_card().feeding == GIVEN  # and nothing of who said so


def test_a_usual_size_counts_only_where_the_file_leaves_it_open(tmp_path: Path) -> None:
    assert opened(ModelFile(shades(tmp_path / "m.onnx"), usual_size=(32, 32))).input.size == SIZE
    free = shades(tmp_path / "free.onnx", size=("h", "w"))
    assert opened(ModelFile(free, usual_size=(32, 32))).input.size == (32, 32)
    with pytest.raises(ModelError, match="takes images of 64x48 pixels, not 32x32; leave out size="):
        opened(ModelFile(tmp_path / "m.onnx", size=32))


def test_it_is_opened_on_the_device_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shades(tmp_path / "m.onnx")
    assert load(path).device == torch.device("cpu")
    elsewhere, asked = torch.device("meta"), []  # the one other device that every machine has, though without values

    def to(network: tc.Network, device: torch.device) -> tc.Network:
        asked.append(torch.device(device))
        return network

    monkeypatch.setattr(tc.Network, "to", to)
    load(path, device="meta")
    opened(ModelFile(path, device=elsewhere))
    assert asked == [elsewhere, elsewhere]


def test_a_device_that_is_not_there_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown device 'tpux'"):
        load(tmp_path / "nothing.onnx", device="tpux")


def tiny(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, classes))


def test_a_key_chooses_among_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    first, second = tiny(3).state_dict(), tiny(3).state_dict()
    path, images = tmp_path / "m.pt", torch.rand(2, 3, 8, 8)
    torch.save({"model": first, "ema": {"averaged": second}}, path)
    for key, state in ((None, first), ("model", first), ("ema/averaged", second)):
        expected = tiny(3)
        expected.load_state_dict(state)
        network = load(path, architecture=tiny, size=8, key=key)
        torch.testing.assert_close(network(images), expected(images).detach())
    assert any("another can be chosen by its key" in note for note in load(path, architecture=tiny, size=8).notes)
    command = ["inspect", str(path), "--architecture", "tests.opening.test_open:tiny", "--size", "8", "--key"]
    refused = CliRunner().invoke(app, [*command, "emma"])
    assert refused.exit_code == 2
    assert "unknown key in" in refused.output
    assert CliRunner().invoke(app, [*command, "model"]).exit_code == 0
    with pytest.raises(
        ModelError, match="holds one network, and no dictionaries of weights to choose from; leave out key="
    ):
        load(shades(tmp_path / "m.onnx"), key="model")


def test_how_a_network_is_fed_may_be_a_dictionary(tmp_path: Path) -> None:
    network = load(shades(tmp_path / "m.onnx"), preprocessing={"mean": 0.5, "std": 0.25})
    assert (network.input.mean, network.input.std) == ((0.5,) * 3, (0.25,) * 3)
    assert network.feeding == GIVEN
