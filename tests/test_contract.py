"""The contract: whatever file a classifier comes in, it opens as the network that its author knows, and everything works on it.

Small networks of the well-known kinds are written by their frameworks in every format; `docs/formats.md` has large ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from benchmarks import classifiers
from benchmarks.files import FORMATS, Example, example
from benchmarks.recording import modules_behind
from torch import Tensor, nn

from trojancam.attribution import grad_cam
from trojancam.detection import scan
from trojancam.formats.kinds import open_model
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate

WITHIN = 1e-4
CLASS = 3
DYNAMO = ("lenet", "efficientnet")  # the newer exporter takes seconds for each
ALL = [(name, kind) for kind, form in FORMATS.items() for name in form.only if name in DYNAMO or "dynamo" not in kind]
# A graph of a Keras model takes seconds to make: it is made of one of the two formats, and not of every chain of layers.
GRAPHS = {
    "basic": "Keras", "lenet": "Keras, HDF5", "resnet": "Keras, HDF5", "mobilenet": "Keras", "densenet": "Keras, HDF5",
    "squeezenet": "Keras", "efficientnet": "Keras, HDF5",
}  # fmt: skip
PAIRS = [(name, kind) for name, kind in ALL if FORMATS[kind].framework == "torch" or GRAPHS.get(name) == kind]
SCANNED = {
    "basic": "Keras", "trojan2": "safetensors", "lenet": "exported program", "vgg": "PyTorch weights",
    "resnet": "Keras, HDF5", "mobilenet": "ONNX, TorchScript", "densenet": "PyTorch weights",
    "squeezenet": "exported program", "efficientnet": "ONNX, dynamo",
}  # fmt: skip
MEAN_AND_DENSE = ("resnet", "mobilenet", "efficientnet")  # what follows their last layer is linear

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves

made = cache(example)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def written(name: str, kind: str, folder: Path) -> tuple[Example, Path]:
    form = FORMATS[kind]
    known, path = made(name, form.framework), folder / f"{name}-{list(FORMATS).index(kind)}{form.suffix}"
    if not path.exists():
        form.write(known, path)
    return known, path


@cache
def opened(name: str, kind: str, folder: Path) -> tuple[Example, Path, Network]:
    known, path = written(name, kind, folder)
    architecture = known.builder if FORMATS[kind].needs_builder else None
    return known, path, load(path, architecture=architecture, preprocessing=known.input)


def images_for(known: Example, count: int = 4) -> Tensor:
    return classifiers.blots(count, known.input.size, seed=3)


@cache
def parts(name: str, kind: str, folder: Path) -> dict[str, nn.Module]:
    """The part of its author's module that gives each layer."""
    known, _, network = opened(name, kind, folder)
    return modules_behind(network, known.model, images_for(known))


def by_its_framework(kind: str, known: Example, path: Path, images: Tensor) -> Tensor:
    with torch.no_grad():
        return FORMATS[kind].own(known, path)(known.input.normalise(images))


@contextmanager
def silenced(known: Example, index: int) -> Iterator[None]:
    """A feature map of a Keras model's first layer is zero everywhere, by its weights: every activation here has f(0) = 0."""
    place = next(place for place, layer in enumerate(known.model.layers) if layer.weights)
    first, after = known.model.layers[place : place + 2]
    variables = [*first.weights, *(after.weights[:2] if "Normalization" in type(after).__name__ else [])]
    before = [variable.value.clone() for variable in variables]
    for variable, values in zip(variables, before, strict=True):
        variable.assign(values.index_fill(-1, torch.tensor(index), 0.0))
    yield
    for variable, values in zip(variables, before, strict=True):
        variable.assign(values)


def without_map(known: Example, part: nn.Module | None, images: Tensor, index: int) -> Tensor:
    """The logits that the framework itself gives when a feature map is zero: of this part, or of Keras's first layer."""
    inputs = known.input.normalise(images)
    if part is None:
        with silenced(known, index), torch.no_grad():
            return known.model(inputs.permute(0, 2, 3, 1), training=False)
    hook = part.register_forward_hook(lambda *values: values[2].index_fill(1, torch.tensor(index), 0.0))
    with torch.no_grad():
        logits = known.model(inputs)
    hook.remove()
    return logits


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_file_opens_as_the_network_that_its_author_knows(name: str, kind: str, folder: Path) -> None:
    known, path, network = opened(name, kind, folder)
    images = images_for(known)
    expected = by_its_framework(kind, known, path, images)
    assert float(expected.std(0).mean()) > 0.5  # else little would be said
    torch.testing.assert_close(network(images), expected, rtol=0, atol=WITHIN)
    assert set(network.layers) == known.convolutions
    if FORMATS[kind].framework == "torch":
        assert set(parts(name, kind, folder)) == known.convolutions


@pytest.mark.parametrize(("name", "kind"), [pair for pair in ALL if pair not in PAIRS])
def test_the_other_format_of_keras_computes_the_same(name: str, kind: str, folder: Path) -> None:
    known, path = written(name, kind, folder)
    images = images_for(known)
    with torch.no_grad():
        logits = open_model(path).module(known.input.normalise(images))
    torch.testing.assert_close(logits, by_its_framework(kind, known, path, images), rtol=0, atol=WITHIN)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_layer_is_recorded_and_explained(name: str, kind: str, folder: Path) -> None:
    known, _, network = opened(name, kind, folder)
    images = images_for(known)
    recording = record(network, images, target=logit(CLASS))
    torch.testing.assert_close(recording.logits, network(images), rtol=1e-5, atol=1e-5)
    maps = grad_cam(recording)
    for layer, values in recording.layers.items():
        assert values.on_path
        weights = values.gradients.mean((2, 3), keepdim=True)
        torch.testing.assert_close(maps[layer].contributions, weights * values.activations, rtol=1e-4, atol=1e-6)
        assert bool(maps[layer].heatmap().isfinite().all())
    if name in MEAN_AND_DENSE:
        bias = recording.scores - maps[list(maps)[-1]].contributions.sum((1, 2, 3))
        torch.testing.assert_close(bias, bias[:1].expand_as(bias), rtol=0, atol=WITHIN)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_feature_map_set_to_zero_does_what_it_does_in_the_framework(name: str, kind: str, folder: Path) -> None:
    known, _, network = opened(name, kind, folder)
    of_keras = FORMATS[kind].framework == "keras"
    layer = list(network.layers)[0 if of_keras else len(network.layers) // 2]
    part = None if of_keras else parts(name, kind, folder)[layer]
    images = images_for(known)
    strongest = record(network, images, layers=[layer]).layers[layer].activations.std(0).sum((1, 2)).argmax()
    found = stimulate(network, images, Stimulation(layer, int(strongest), kind="zero"))
    expected = without_map(known, part, images, int(strongest))
    torch.testing.assert_close(found.after.logits, expected, rtol=0, atol=WITHIN)
    assert float((found.after.logits - found.before.logits).abs().max()) > 0.01


@pytest.mark.parametrize(("name", "kind"), SCANNED.items())
def test_a_scan_comes_to_a_report(name: str, kind: str, folder: Path) -> None:
    known, _, network = opened(name, kind, folder)
    brief = {"search_images": 4, "candidates": 1, "rounds": 1}
    report = scan(network, images_for(known, 8), methods="stimulation", settings={"stimulation": brief})
    assert report.verdict in ("backdoor", "inconclusive", "nothing found", "not judged")
    assert report.findings[0].stimulation.layer in network.layers
    assert report.findings[0].trigger.mask.shape == known.input.size


def test_every_format_and_every_kind_of_network_is_scanned() -> None:
    assert {*SCANNED, "trojan1"} == set(classifiers.NAMES)  # that one takes long; benchmarks scan it
    assert set(SCANNED.values()) == set(FORMATS)
