"""The packages people use today, asked for what they really compute: raw maps and weights, before any min-max scaling.

What these packages warn of or print is theirs, and is kept quiet here and nowhere else.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

INSTALL = "install it with pip install 'trojancam[peers]'"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def grad_cam_package() -> ModuleType:
    """The package `grad-cam`; tests that want it are skipped where it is not installed."""
    if find_spec("pytorch_grad_cam") is None:
        pytest.skip(f"grad-cam is not installed; {INSTALL}")
    with quiet():
        make_torchvision_importable()
        import pytorch_grad_cam
    return pytorch_grad_cam


def torchcam_methods() -> ModuleType:
    """The methods of the package `torchcam`."""
    if find_spec("torchcam") is None:
        pytest.skip(f"torchcam is not installed; {INSTALL}")
    with quiet():
        import torchcam.methods
    return torchcam.methods


def torchvision_models() -> ModuleType:
    """torchvision's own definitions of networks."""
    with quiet():
        make_torchvision_importable()
        import torchvision.models
    return torchvision.models


def timm_models() -> ModuleType:
    """timm's definitions of networks."""
    if find_spec("timm") is None:
        pytest.skip(f"timm is not installed; {INSTALL}")
    with quiet():
        make_torchvision_importable()
        import timm.models
    return timm.models


def make_torchvision_importable() -> None:
    """The package index holds torchvision for CUDA only: beside a CPU torch its operators do not load.

    Its Python part needs two of them to exist, though not to work. `grad-cam` uses none.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip(f"grad-cam needs torchvision, which is not installed; {INSTALL}")
    for library in Path(spec.origin).parent.glob("_C*.so"):
        with contextlib.suppress(OSError):
            torch.ops.load_library(library)
            return
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def grad_cam_map(method: str, module: nn.Module, layer: str, inputs: Tensor, classes: list[int]) -> Tensor:
    """The layer's map `n h w` of one of grad-cam's classes, before its ReLU and scaling."""
    with _grad_cam_run(method, module, layer, inputs, classes) as (cam, arguments):
        return torch.as_tensor(cam.get_cam_image(*arguments, False))


def grad_cam_weights(method: str, module: nn.Module, layer: str, inputs: Tensor, classes: list[int]) -> Tensor:
    """The weights `n k` of one of grad-cam's classes."""
    with _grad_cam_run(method, module, layer, inputs, classes) as (cam, arguments):
        return torch.as_tensor(cam.get_cam_weights(*arguments))


def grad_cam_activations(module: nn.Module, layer: str, inputs: Tensor) -> Tensor:
    """What grad-cam takes for the layer's activations."""
    with _grad_cam_run("GradCAM", module, layer, inputs, [0] * len(inputs)) as (_, arguments):
        return torch.as_tensor(arguments[3])


def grad_cam_heatmap(module: nn.Module, layer: str, inputs: Tensor, classes: list[int]) -> Tensor:
    """What grad-cam gives its users: each image's map scaled to [0, 1]."""
    package = grad_cam_package()
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with quiet(), package.GradCAM(module, [module.get_submodule(layer)]) as cam:
        return torch.as_tensor(cam(inputs, [ClassifierOutputTarget(each) for each in classes]))


@contextlib.contextmanager
def _grad_cam_run(
    method: str, module: nn.Module, layer: str, inputs: Tensor, classes: list[int]
) -> Iterator[tuple[object, tuple[object, ...]]]:
    """Forward and backward as in grad-cam's `BaseCAM.forward`, up to where it computes the map of a layer."""
    package = grad_cam_package()
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets, looked_at = [ClassifierOutputTarget(each) for each in classes], module.get_submodule(layer)
    with quiet():
        cam = getattr(package, method)(module, [looked_at])
        try:
            outputs = cam.activations_and_grads(inputs)
            sum(target(output) for target, output in zip(targets, outputs, strict=True)).backward()
            recorded = cam.activations_and_grads
            yield cam, (inputs, looked_at, targets, recorded.activations[0].numpy(), recorded.gradients[0].numpy())
        finally:
            cam.activations_and_grads.release()
            module.zero_grad(set_to_none=True)


def torchcam_map(method: str, module: nn.Module, layer: str, inputs: Tensor, classes: list[int]) -> Tensor:
    """The layer's map `n h w` of one of torchcam's classes, after its ReLU, before its scaling."""
    with quiet(), getattr(torchcam_methods(), method)(module, layer) as cam:
        outputs = module(inputs)
        return cam(classes, outputs, normalized=False)[0].detach()


def torchcam_weights(method: str, module: nn.Module, layer: str, inputs: Tensor, classes: list[int]) -> Tensor:
    """The weights `n k` of one of torchcam's classes."""
    with quiet(), getattr(torchcam_methods(), method)(module, layer) as cam:
        outputs = module(inputs)
        return cam._get_weights(classes, outputs)[0].detach()
