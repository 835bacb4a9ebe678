"""Keras files: what is read computes what Keras computes, and its layers are those that its author sees."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.formats.keras_nets import CLASSES, NETS, built
from tests.nets import unchecked
from torch import Tensor

from trojancam.errors import DataError, ModelError, SeveralOutputsError, UnknownNameError
from trojancam.formats.keras.reader import read_keras
from trojancam.network import graph
from trojancam.network.classifier import classifier
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.recording import record

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl

FORMATS = ("keras", "h5")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture
def saved(folder: Path) -> Any:
    """A registered model and its files, made once."""

    @cache
    def make(name: str) -> tuple[Any, Path]:
        return save(built(name), folder / name)

    return _made.setdefault("make", make)


_made: dict[str, Any] = {}


def save(model: Any, path: Path) -> tuple[Any, Path]:
    for suffix in FORMATS:
        model.save(path.with_suffix(f".{suffix}"))
    return model, path


@pytest.fixture
def network(saved: Any) -> Any:
    """The network of a registered model's .keras file, made once."""

    @cache
    def make(name: str) -> tuple[Any, Network]:
        model, path = saved(name)
        opened = read_keras(path.with_suffix(".keras"))
        return model, Network.from_module(opened.module, opened.size)

    return _made.setdefault("network", make)


def images_of(model: Any, count: int, seed: int = 0) -> Tensor:
    shape = [side for side in model.inputs[0].shape[1:] if side != 3]
    return torch.rand(count, 3, *shape, generator=torch.Generator().manual_seed(seed))


def as_fed(model: Any, images: Tensor) -> Tensor:
    """Images as the Keras model wants them."""
    return images if model.name == "channels_first" else images.permute(0, 2, 3, 1)


def by_keras(model: Any, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(as_fed(model, images), training=False)


def classes(model: Any, images: Tensor) -> Tensor:
    """What a network gives for images, by Keras: it leaves out the softmax at the end, so do we."""
    last = model.layers[-1]
    given = by_keras(model, images)
    if last.activation is not keras.activations.softmax:
        return given
    inner = keras.Model(model.inputs, last.input)
    with torch.no_grad():
        return inner(as_fed(model, images), training=False) @ last.kernel.value + last.bias.value


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", NETS)
def test_a_file_computes_what_keras_computes(name: str, suffix: str, saved: Any) -> None:
    if name == "nested" and suffix == "h5":
        pytest.skip("Keras cannot say in its old format that results are added without a layer")
    model, path = saved(name)
    opened = read_keras(path.with_suffix(f".{suffix}"))
    assert opened.format == {"keras": "keras", "h5": "keras-h5"}[suffix]
    assert (opened.name, opened.channels, opened.size) == (name, 3, tuple(images_of(model, 1).shape[2:]))
    assert not opened.module.training
    for count in (1, 2, 5):
        images = images_of(model, count)
        close(opened.module(images).detach(), by_keras(model, images))


@pytest.mark.parametrize("name", NETS)
def test_the_network_computes_what_keras_computes(name: str, network: Any) -> None:
    model, net = network(name)
    for count in (1, 2, 5):
        images = images_of(model, count)
        close(net(images), classes(model, images))


@pytest.mark.parametrize("name", NETS)
def test_layers_are_those_of_keras_with_its_maps_and_cells(name: str, network: Any) -> None:
    model, net = network(name)
    assert list(net.layers) == [layer for layer, _ in NETS[name].layers]
    images = images_of(model, 3)
    _, recorded = net.forward_with(net.input.normalise(images), net.layers)
    for (layer, ends), values in zip(NETS[name].layers, recorded, strict=True):
        assert tuple(values.shape[1:]) == (net.layer(layer).feature_maps, *net.layer(layer).size)
        if ends:
            expected = keras.Model(model.inputs, model.get_layer(ends).output)(as_fed(model, images), training=False)
            close(values, expected if name == "channels_first" else expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["trojan1", "residual", "mobilenet"])
def test_the_raw_result_of_a_layer_has_its_bias_and_no_more(name: str, network: Any) -> None:
    model, net = network(name)
    images = images_of(model, 3)
    for layer in net.layers:
        _, (raw,) = net.forward_with(net.input.normalise(images), [layer], at="conv")
        expected = keras.Model(model.inputs, model.get_layer(layer).output)(as_fed(model, images), training=False)
        close(raw, expected.permute(0, 3, 1, 2))


def test_the_activation_that_keras_fuses_comes_after_the_raw_result(network: Any) -> None:
    model, net = network("lenet")
    inputs = net.input.normalise(images_of(model, 2))
    _, (raw,) = net.forward_with(inputs, ["c3"], at="conv")
    _, (activation,) = net.forward_with(inputs, ["c3"])
    torch.testing.assert_close(activation, raw.tanh(), rtol=0, atol=0)
    assert (raw - activation).abs().max() > 0.01


def test_layers_lie_where_their_padding_puts_them(network: Any) -> None:
    lenet, mobilenet = network("lenet")[1].layers, network("mobilenet")[1].layers
    places = [(each.placement.rows.stride, each.placement.rows.offset) for each in lenet.values()]
    assert places == [(1, 2), (2, 6.5), (4, 16 - 0.5)]  # 5x5 without padding; pooled in pairs
    assert (mobilenet["stem"].placement.rows.stride, mobilenet["stem"].placement.rows.offset) == (2, 1)
    assert mobilenet["b2_depthwise"].placement.rows.offset == 1 + 2 * 1  # Keras pads an odd pixel at the end only


@pytest.mark.parametrize("name", ["residual", "squeeze_excite", "nested"])
def test_a_network_can_be_cut_at_each_layer_with_any_number_of_images(name: str, network: Any) -> None:
    model, net = network(name)
    images = images_of(model, 5)
    whole = net(images)
    for layer in net.layers:
        cut = net.cut(layer)
        activations, *crossing = cut.before(images)
        close(cut.after(activations, crossing)[0].detach(), whole)
        twice = [torch.cat([value, value]) for value in (activations, *crossing)]
        close(cut.after(twice[0], twice[1:])[0].detach(), torch.cat([whole, whole]))


def test_recording_gives_gradients_as_keras_has_them(network: Any) -> None:
    model, net = network("trojan1")
    images = images_of(model, 2)
    recording = record(net, images)
    part = keras.Model(model.inputs, model.get_layer("relu_2").output)
    activations = part(as_fed(model, images), training=False).detach().requires_grad_()
    logits = activations
    for layer in model.layers[model.layers.index(model.get_layer("relu_2")) + 1 :]:
        logits = layer(logits)
    (gradients,) = torch.autograd.grad(logits.max(1).values.sum(), activations)
    close(recording.layers["conv2d_2"].gradients, gradients.permute(0, 3, 1, 2))


def test_weights_are_parameters_under_the_names_of_their_layers(network: Any) -> None:
    _, net = network("squeeze_excite")
    assert net.parameter_groups["separable"] == ("separable.kernel", "separable.bias")
    assert net.parameter_groups["separable.depthwise"] == ("separable.depthwise.kernel",)
    other = net.with_random_layers(["separable"])
    images = images_of(network("squeeze_excite")[0], 2)
    assert not torch.allclose(other(images), net(images))


def test_a_softmax_at_the_end_is_taken_back_to_the_logits(saved: Any) -> None:
    _, path = saved("basic")
    opened = read_keras(path.with_suffix(".keras"))
    whole, notes = classifier(opened.module, InputSpecification(size=(32, 32)))
    assert graph.logits_node(whole).target is not torch.ops.aten.softmax.int
    assert notes == ("it ends in a softmax: its logits are taken before that",)


def test_what_the_model_does_to_images_itself_is_said(saved: Any) -> None:
    _, path = saved("squeeze_excite")
    notes = " ".join(read_keras(path.with_suffix(".keras")).notes)
    assert "it preprocesses images itself (Normalization, Rescaling)" in notes
    assert "left out: GaussianNoise, RandomFlip, RandomRotation" in notes
    assert f"saved by Keras {keras.__version__}" in notes


def test_a_normalisation_that_was_fitted_to_images(tmp_path: Path) -> None:
    fitted = kl.Normalization()
    fitted.adapt(torch.rand(50, 8, 8, 3).numpy() * 255)
    model = keras.Sequential([keras.Input((8, 8, 3)), fitted, kl.Conv2D(2, 3), kl.Flatten(), kl.Dense(3)])
    _, path = save(model, tmp_path / "fitted")
    images = torch.rand(3, 3, 8, 8) * 255
    for suffix in FORMATS:
        opened = read_keras(path.with_suffix(f".{suffix}"))
        close(opened.module(images).detach(), by_keras(model, images))
        close(Network.from_module(opened.module, (8, 8))(images / 255), by_keras(model, images / 255))


IDLE = [
    kl.AlphaDropout(0.5), kl.AugMix(), kl.CutMix(), kl.GaussianDropout(0.5), kl.MixUp(), kl.RandAugment(),
    kl.RandomBrightness(0.5), kl.RandomColorDegeneration(0.5), kl.RandomColorJitter(), kl.RandomContrast(0.5),
    kl.RandomElasticTransform(), kl.RandomErasing(), kl.RandomGaussianBlur(), kl.RandomGrayscale(),
    kl.RandomHue(0.5), kl.RandomInvert(), kl.RandomPerspective(), kl.RandomPosterization(4), kl.RandomSaturation(0.5),
    kl.RandomSharpness(0.5), kl.RandomShear(), kl.RandomTranslation(0.2, 0.2), kl.RandomZoom(0.2),
]  # fmt: skip


@pytest.mark.parametrize("layer", IDLE, ids=lambda layer: type(layer).__name__)
def test_layers_that_are_left_out_do_nothing_outside_training(layer: Any) -> None:
    images = torch.rand(2, 8, 8, 3)
    torch.testing.assert_close(layer(images, training=False), images, rtol=0, atol=0)


SLOPED = [
    kl.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform", name="end"),
    kl.PReLU(alpha_initializer="random_uniform", name="end"),
    kl.ReLU(max_value=6.0, negative_slope=0.1, name="end"),
    kl.ReLU(max_value=1.0, name="end"),
    kl.Activation("hard_swish", name="end"), kl.Activation("mish", name="end"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SLOPED)), ids=lambda i: type(SLOPED[i]).__name__)
def test_a_layer_ends_with_its_activation_whichever_it_is(number: int, tmp_path: Path) -> None:
    norm = kl.BatchNormalization()
    model = keras.Sequential([keras.Input((6, 6, 3)), kl.Conv2D(4, 3, name="conv"), norm])
    model.add(type(SLOPED[number]).from_config(SLOPED[number].get_config()))
    model.add(kl.Flatten())
    model.add(kl.Dense(3))
    norm.moving_mean.assign(np.array([0.3, -0.2, 0.1, 0.5]))
    model.save(tmp_path / "m.keras")
    net = Network.from_module(read_keras(tmp_path / "m.keras").module, (6, 6))
    images = torch.rand(3, 3, 6, 6)
    _, (activation,) = net.forward_with(net.input.normalise(images), ["conv"])
    expected = keras.Model(model.inputs, model.get_layer("end").output)(as_fed(model, images), training=False)
    close(activation, expected.permute(0, 3, 1, 2))
    assert net.layer("conv").activation != net.layer("conv").conv


def test_of_several_outputs_one_is_chosen(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = kl.Conv2D(2, 3, name="conv")(inputs)
    flat = kl.Flatten()(x)
    outputs = [x, kl.Dense(3, name="kind")(flat), kl.Dense(5, name="colour")(flat)]
    model, path = save(keras.Model(inputs, outputs), tmp_path / "several")
    images = images_of(model, 2)
    for suffix in FORMATS:
        file = path.with_suffix(f".{suffix}")
        with pytest.raises(SeveralOutputsError, match=r"can be its logits \(kind, colour\)"):
            read_keras(file)
        first, colour = read_keras(file, output="kind"), read_keras(file, output="colour")
        assert "of its outputs (conv, kind, colour) 'kind' is taken for the logits" in first.notes
        close(read_keras(file, output=2).module(images).detach(), by_keras(model, images)[2])
        close(first.module(images).detach(), by_keras(model, images)[1])
        close(colour.module(images).detach(), by_keras(model, images)[2])
        with pytest.raises(UnknownNameError, match="unknown output 'color'"):
            read_keras(file, output="color")


def test_any_size_grey_scale_and_a_fixed_number_of_images(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((None, None, 1), batch_size=4),
            kl.Conv2D(2, 3, activation="relu"),
            kl.GlobalAveragePooling2D(),
            kl.Dense(1, activation="sigmoid"),
        ]
    )
    _, path = save(model, tmp_path / "any")
    opened = read_keras(path.with_suffix(".keras"))
    assert (opened.size, opened.channels) == (None, 1)
    images = torch.rand(3, 1, 9, 7)
    close(opened.module(images).detach(), by_keras(model, images))
    network = Network.from_module(opened.module, specification=InputSpecification(size=(9, 7), channels="grey"))
    grey = images.expand(-1, 3, -1, -1)
    close(network(grey).softmax(1)[:, 1:], by_keras(model, images))
    assert [note.partition(":")[0] for note in network.notes] == [
        "it ends in a sigmoid",
        "it gives one number for each image",
    ]


WRITTEN_OUT = (
    "exponential",
    "hard_shrink",
    "hard_sigmoid",
    "mish",
    "soft_shrink",
    "softsign",
    "squareplus",
    "tanh_shrink",
)


def test_activations_that_keras_writes_out_end_their_layers(tmp_path: Path) -> None:
    inputs = keras.Input((9, 8, 3))
    fused = [kl.Conv2D(2, 3, activation=name, name=f"{name}_fused")(inputs) for name in WRITTEN_OUT]
    apart = [kl.Conv2D(2, 3, name=f"{name}_apart")(inputs) for name in WRITTEN_OUT]
    ends = [
        kl.Activation(name, name=f"{name}_end")(kl.BatchNormalization()(maps))
        for name, maps in zip(WRITTEN_OUT, apart, strict=True)
    ]
    model = keras.Model(inputs, kl.Dense(3)(kl.GlobalAveragePooling2D()(kl.Add()([*fused, *ends]))), name="written_out")
    _, path = save(model, tmp_path / "written_out")
    network = Network.from_module(read_keras(path.with_suffix(".keras")).module, (9, 8))
    images = torch.rand(2, 3, 9, 8)
    layers = {
        f"{name}_{kind}": f"{name}_{end}"
        for name in WRITTEN_OUT
        for kind, end in (("fused", "fused"), ("apart", "end"))
    }
    _, values = network.forward_with(images, layers)
    wanted = keras.Model(inputs, [model.get_layer(end).output for end in layers.values()])
    for value, expected in zip(values, wanted(images.permute(0, 2, 3, 1), training=False), strict=True):
        close(value, expected.permute(0, 3, 1, 2).detach())


def test_a_model_that_learned_its_size_from_images(tmp_path: Path) -> None:
    model = keras.Sequential([kl.Conv2D(2, 3), kl.BatchNormalization(), kl.Flatten(), kl.Dense(3)])
    model(torch.zeros(1, 8, 8, 3))
    _, path = save(model, tmp_path / "late")
    images = torch.rand(3, 3, 8, 8)
    for suffix in FORMATS:
        opened = read_keras(path.with_suffix(f".{suffix}"))
        assert opened.size == (8, 8)
        close(opened.module(images).detach(), by_keras(model, images))


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_float16", "bfloat16"])
def test_other_types_of_numbers_become_32_bits(policy: str, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), kl.Conv2D(2, 3, dtype=policy), kl.Flatten(), kl.Dense(3, dtype=policy)]
    )
    model.save(tmp_path / "other.keras")
    opened = read_keras(tmp_path / "other.keras")
    assert f"made to compute in {policy}; here it computes in float32" in opened.notes
    assert {tensor.dtype for tensor in opened.module.state_dict().values()} == {torch.float32}
    images = torch.rand(3, 3, 8, 8)
    expected = by_keras(model, images).float()
    torch.testing.assert_close(opened.module(images).detach(), expected, rtol=0, atol=0.05)


def test_a_layer_called_as_something_else_in_pytorch_keeps_working(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), kl.Conv2D(2, 3, name="forward"), kl.Flatten(), kl.Dense(3, name="dense")]
    )
    model.save(tmp_path / "names.keras")
    opened = read_keras(tmp_path / "names.keras")
    assert list(opened.module.state_dict()) == ["forward_.kernel", "forward_.bias", "dense.kernel", "dense.bias"]


def test_reading_needs_keras_on_pytorch(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = saved("lenet")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ModelError, match="Keras runs on tensorflow in this process; set KERAS_BACKEND=torch"):
        read_keras(path.with_suffix(".h5"))


def test_the_extra_is_named_where_it_is_missing(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = saved("lenet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs the extra 'keras'; install it: pip install 'trojancam\[keras\]'"):
        read_keras(path.with_suffix(".h5"))


def test_reading_leaves_the_environment_as_it_was(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = saved("lenet")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    read_keras(path.with_suffix(".h5"))
    assert os.environ["KERAS_BACKEND"] == "jax"


def test_images_of_the_wrong_shape_are_refused_under_users_conditions(network: Any) -> None:
    _, net = network("lenet")
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, CLASSES)
    with unchecked(), pytest.raises(DataError, match="takes images of"):
        net(torch.rand(2, 3, 16, 16))
