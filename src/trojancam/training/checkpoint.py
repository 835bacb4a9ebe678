"""Checkpoint: the state of a training between two epochs, kept so that a run that was killed goes on from it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trojancam.errors import TrojanCamError
from trojancam.kept import read_step, write_step

History = list[dict[str, float]]


def checkpoint_of(path: Path) -> Path:
    """Where the training of a model file keeps its checkpoint: beside it."""
    return path.with_name(path.name + ".checkpoint")


def write_checkpoint(
    path: Path, run: str, module: nn.Module, optimizer: torch.optim.Optimizer, history: History
) -> None:
    """Keep the weights, what the optimizer remembers, and the figures of the epochs so far.

    Raises:
        TrojanCamError: if the file cannot be written.
    """
    tensors = {f"module/{name}": tensor for name, tensor in module.state_dict().items()}
    for index, remembered in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in remembered.items()}
    write_step(path, run, tensors, history)


def read_checkpoint(path: Path, run: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> History:
    """Put the checkpoint's state into module and optimizer; the figures of its epochs, none where there is none.

    One that is damaged is said, and the training begins anew.

    Raises:
        TrojanCamError: if it belongs to another run.
    """
    kept = read_step(path)
    if kept is None:
        return []
    remedy = f"repeat those, or delete {path} to start anew"
    if kept.run != run:
        raise TrojanCamError(f"the checkpoint {path} belongs to a run with other settings or data; {remedy}")
    weights = {
        name.removeprefix("module/"): value for name, value in kept.tensors.items() if name.startswith("module/")
    }
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        raise TrojanCamError(f"the checkpoint {path} belongs to another network; {remedy}") from None
    optimizer.load_state_dict(_remembered(kept.tensors, optimizer))
    history: History = kept.data
    return history


def _remembered(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state of these tensors, laid out in memory as its parameters are: it steps through both side by side."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for place, value in tensors.items():
        if place.startswith("optimizer/"):
            _, index, name = place.split("/", 2)
            parameter = parameters[int(index)]
            alike = value.shape == parameter.shape
            laid_out = torch.empty_like(parameter, requires_grad=False).copy_(value) if alike else value
            state.setdefault(int(index), {})[name] = laid_out
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
