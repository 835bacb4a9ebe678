"""Devices: where a network computes. `cpu` unless somebody says otherwise; nothing is moved by itself."""

from collections.abc import Iterable

import torch
from torch import Tensor

from trojancam.errors import ModelError, unknown_name

AUTO = "auto"
CPU = torch.device("cpu")
DeviceLike = str | torch.device


def device_named(name: DeviceLike) -> torch.device:
    """The device of this name: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` is the accelerator of this machine, or else the CPU.

    Raises:
        UnknownNameError: if PyTorch knows no such device.
        ModelError: if this machine does not have it.

    >>> device_named("cpu")
    device(type='cpu')
    """
    if name == AUTO:
        return torch.accelerator.current_accelerator(check_available=True) or CPU
    try:
        device = torch.device(name)
    except RuntimeError:
        raise unknown_name("device", name, (AUTO, "cpu", "cuda", "cuda:1", "mps")) from None
    if device.type in ("cpu", "meta"):
        return device
    module = getattr(torch, device.type, None)
    count = module.device_count() if module is not None and module.is_available() else 0
    index = device.index if device.index is not None else getattr(module, "current_device", int)() if count else 0
    if index >= count:
        here = "none" if not count else ", ".join(f"{device.type}:{number}" for number in range(count))
        raise ModelError(f"this machine has no device {device} that PyTorch can use (of this kind: {here}); choose cpu")
    return torch.device(device.type, index)


def device_of(tensors: Iterable[Tensor]) -> torch.device:
    """The one device on which all of these lie; the CPU, where there are none.

    Raises:
        ModelError: if they lie on several, or have no values.
    """
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        several = ", ".join(sorted(map(str, devices)))
        raise ModelError(f"the weights lie on several devices ({several}); move all of the module to one of them")
    if torch.device("meta") in devices:
        raise ModelError(
            "the weights have shapes but no values (they lie on the device 'meta'); load the weights into the module first"
        )
    return devices.pop() if devices else CPU
