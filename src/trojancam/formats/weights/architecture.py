"""Architectures for weights that come alone: a registered one, one of the user's own, or one of timm's or torchvision's.

What builds the network is named by whoever gives the command, never by the file.
"""

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trojancam.architectures import architecture
from trojancam.errors import ModelError, Remedy
from trojancam.formats.opened import OpenedModel
from trojancam.formats.weights.fitting import Skeleton, best_fit, check_fit
from trojancam.formats.weights.own_code import SOURCE, first_line, imported, own_callable
from trojancam.formats.weights.reader import read_checkpoint
from trojancam.formats.weights.tensors import single_precision
from trojancam.network.input import InputSpecification
from trojancam.network.modules import channels_of, unwrapped

Architecture = str | nn.Module | Callable[..., nn.Module]  # what a caller may say builds the network
CLASSES = ("classes", "num_classes", "n_classes", "number_of_classes", "nb_classes")  # what builders call it
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Builder:
    """What makes the module: for a number of classes, or, where it takes none, always the same."""

    name: str
    build: Callable[[int], nn.Module]
    takes_classes: bool = True
    input: InputSpecification | None = None


def read_with_architecture(
    path: str | Path, architecture: Architecture, classes: int | None = None, key: str | None = None
) -> OpenedModel:
    """The network of a file that holds weights alone, in an architecture that is given beside it.

    `architecture` is a registered name, `module:callable` from the user's own code (installed, or in the current folder),
    `path/file.py:callable`, `timm:NAME`, `torchvision:NAME`, a callable, or a module, which stays as it is. A callable takes
    the number of classes, or nothing, and returns a module. Without `classes`, their number is that of the weights. Of several
    dictionaries of weights in a checkpoint, `key` names one (keys with slashes between); without it, the one that fits the
    architecture best is taken.

    Raises:
        ModelError: if the file is refused, the architecture cannot be built, or the weights do not fit it or are not finite.
        UnknownNameError: if no architecture of this name is registered, or there is nothing under this key.
    """
    path = Path(path)
    builder = builder_of(architecture)
    with read_checkpoint(path) as checkpoint:
        skeleton = skeleton_of(builder)
        fit = best_fit(checkpoint, skeleton, key)
        weights, said = fit.tensors(skeleton)
        form = checkpoint.format
    tensors, notes = single_precision(path, weights)
    count = classes if classes is not None else number_of_classes(path, tensors, builder, skeleton)
    _check_without_memory(path, builder, count, tensors, skeleton)
    module = built(builder, count)
    _fill(path, module, tensors, fit.versions, replace(skeleton, shapes=shapes_of(module)), builder.name)
    size = builder.input.size if builder.input else None
    return OpenedModel(
        module.eval(),
        form,
        builder.name,
        size,
        channels=channels_of(module),
        input=builder.input,
        notes=(*said, *notes),
    )


def builder_of(architecture: Architecture) -> Builder:
    """What builds an architecture, however it was said.

    Raises:
        ModelError: if it is none, or cannot be found or called.
        UnknownNameError: if no architecture of this name is registered.
    """
    if isinstance(architecture, str):
        return named(architecture)
    if isinstance(architecture, nn.Module):
        module = architecture
        return Builder(type(module).__name__, lambda _: copy.deepcopy(module), takes_classes=False)
    if not callable(architecture):
        raise ModelError(
            f"an architecture is a name, a module or a callable that builds one, not a {type(architecture).__name__}"
        )
    return _suited(getattr(architecture, "__name__", type(architecture).__name__), architecture)


def named(name: str) -> Builder:
    """What builds the architecture of this name.

    Raises:
        ModelError: if its module or its file cannot be imported, or has no such callable.
        UnknownNameError: if no architecture of this name is registered.
    """
    where, _, what = name.partition(":")
    if name.endswith(SOURCE):
        raise ModelError(f"{name} may hold several networks; say what builds yours, as {name}:callable")
    if not what:
        registered = architecture(name)
        return Builder(name, registered.build, input=registered.input)
    if where == "timm":
        return _timm(what)
    if where == "torchvision":
        return Builder(what, _torchvision(what))
    return _suited(name, own_callable(name))


def built(builder: Builder, classes: int) -> nn.Module:
    """The module for so many classes, with weights that count for nothing.

    Raises:
        ModelError: if building it fails, or does not give a module.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            module: Any = builder.build(classes)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code can raise anything, and try to exit
        raise ModelError(f"the architecture {builder.name} cannot be built: {first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"the architecture {builder.name} gives a {type(module).__name__}, not a torch.nn.Module")
    return unwrapped(module).float()


def skeleton_of(builder: Builder) -> Skeleton:
    """The names and shapes of an architecture's weights, found without memory where it can be built so.

    What is as long as there are classes differs between the networks of two and of three classes.
    """
    for device in ("meta", "cpu"):  # some cannot be built without numbers
        try:
            with torch.device(device):
                two = shapes_of(built(builder, 2))
                three = shapes_of(built(builder, 3)) if builder.takes_classes else two
        except ModelError:
            continue
        places = [
            (name, axis)
            for name, shape in two.items()
            for axis, extents in enumerate(zip(shape, three.get(name, ()), strict=False))
            if extents == (2, 3)
        ]
        return Skeleton(two, tuple(places))
    return Skeleton({})


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of a module's weights, by their names."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}


def number_of_classes(path: Path, tensors: Mapping[str, Tensor], builder: Builder, skeleton: Skeleton) -> int:
    """The number of classes of these weights: the extent that, in this architecture, depends on it.

    Raises:
        ModelError: if the file has no weights whose shape tells, or claims more classes than a network here may have.
    """
    if not builder.takes_classes:
        return 0
    count = _extent_of_classes(tensors, skeleton)
    if count is None:
        raise ModelError(
            f"{path} does not tell its number of classes; name a callable that builds the network for them"
        )
    if not 0 < count <= MOST_CLASSES:
        raise ModelError(f"{path} has weights for {count} classes, but a network here has 1 to {MOST_CLASSES}")
    return count


def _extent_of_classes(tensors: Mapping[str, Tensor], skeleton: Skeleton) -> int | None:
    for name, axis in skeleton.classes:
        if name in tensors and tensors[name].ndim > axis:
            return int(tensors[name].shape[axis])
    dense = [tensor for name, tensor in tensors.items() if tensor.ndim == 2 and name.endswith("weight")]
    return int(dense[-1].shape[0]) if dense else None


def _check_without_memory(
    path: Path, builder: Builder, classes: int, tensors: Mapping[str, Tensor], skeleton: Skeleton
) -> None:
    """Refuse weights that do not fit before the network is built: it may be as large as the file pleases."""
    try:
        with torch.device("meta"):
            shapes = shapes_of(built(builder, classes))
    except ModelError:
        return  # it cannot be built without numbers; the number of classes is bounded
    check_fit(path, replace(skeleton, shapes=shapes), tensors, builder.name)


def _fill(
    path: Path,
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    versions: Mapping[str, int],
    skeleton: Skeleton,
    name: str,
) -> None:
    """Put the weights into the module, with the versions that its parts had: PyTorch mends older ones as it loads them."""
    check_fit(path, skeleton, tensors, name)
    state = OrderedDict((key, tensor) for key, tensor in tensors.items() if key in skeleton.shapes)
    state._metadata = {part: {"version": version} for part, version in versions.items()}  # type: ignore[attr-defined]
    try:
        module.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"the weights in {path} do not fit the architecture {name!r} ({first_line(error)})") from None


def _suited(name: str, build: Callable[..., Any]) -> Builder:
    """How a callable wants to be told the number of classes: by one of the usual names, alone, or not at all."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):
        return Builder(name, build)
    known = next((parameter for parameter in parameters if parameter.name in CLASSES), None)
    required = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(required) > 1 or (known and required not in ([], [known])):
        wanted = ", ".join(parameter.name for parameter in required)
        raise ModelError(
            f"{name} wants {wanted}; write a function that takes the number of classes, or nothing, and name that"
        )
    if known and known.kind is not known.POSITIONAL_ONLY:
        return Builder(name, lambda classes: build(**{known.name: classes}))
    if required:
        return Builder(name, build)
    return Builder(name, lambda _: build(), takes_classes=False)


def _timm(name: str) -> Builder:
    timm: Any = imported("timm", f"timm:{name}", Remedy.INSTALL, detail="timm")
    return Builder(
        name,
        lambda classes: timm.create_model(name, pretrained=False, num_classes=classes),
        input=_usual_input(timm, name),
    )


def _usual_input(timm: Any, name: str) -> InputSpecification | None:
    """How timm's own weights of this architecture are fed, where it says so; those of the file may be fed otherwise."""
    try:
        said = timm.get_pretrained_cfg(name)
        channels, *size = said.input_size
        return (
            InputSpecification(size=tuple(size), mean=said.mean, std=said.std, crop=said.crop_pct)
            if channels == 3
            else None
        )
    except (AttributeError, RuntimeError, TypeError, ValueError):  # unknown to it, or of a shape that is not ours
        return None


def _torchvision(name: str) -> Callable[[int], nn.Module]:
    models: Any = imported("torchvision.models", f"torchvision:{name}", Remedy.INSTALL, detail="torchvision")
    return lambda classes: models.get_model(name, weights=None, num_classes=classes)
