"""TrojanCAM: see, find and remove backdoors in image classifiers.

The names below are imported when they are first used, so that `import trojancam` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trojancam import (
        attribution,
        data,
        detection,
        evaluation,
        figures,
        models,
        rates,
        stimulation,
        training,
        triggers,
    )
    from trojancam.attribution import METHODS, Attribution, attribute, grad_cam
    from trojancam.detection import Finding, ScanReport, scan
    from trojancam.errors import TrojanCamError
    from trojancam.layers import Layer
    from trojancam.network import Network, load
    from trojancam.recording import Recording, record
    from trojancam.stimulation import Stimulated, Stimulation, donated, dose_response, stimulate, stimulated_logits
    from trojancam.streaming import stream
    from trojancam.targets import Target, logit, logit_difference, probability
    from trojancam.triggers import Poisoning, Trigger, make_trigger, poison

_HOMES = {
    "METHODS": "attribution",
    "Attribution": "attribution",
    "attribute": "attribution",
    "grad_cam": "attribution",
    "TrojanCamError": "errors",
    "Layer": "layers",
    "Network": "network",
    "load": "network",
    "Recording": "recording",
    "record": "recording",
    "Finding": "detection",
    "ScanReport": "detection",
    "scan": "detection",
    "Target": "targets",
    "logit": "targets",
    "logit_difference": "targets",
    "probability": "targets",
    "Stimulated": "stimulation",
    "Stimulation": "stimulation",
    "donated": "stimulation",
    "dose_response": "stimulation",
    "stimulate": "stimulation",
    "stimulated_logits": "stimulation",
    "stream": "streaming",
    "Poisoning": "triggers",
    "Trigger": "triggers",
    "make_trigger": "triggers",
    "poison": "triggers",
}
_MODULES = (
    "attribution",
    "data",
    "detection",
    "evaluation",
    "figures",
    "models",
    "rates",
    "stimulation",
    "training",
    "triggers",
)

__all__ = [
    "METHODS",
    "Attribution",
    "Finding",
    "Layer",
    "Network",
    "Poisoning",
    "Recording",
    "ScanReport",
    "Stimulated",
    "Stimulation",
    "Target",
    "Trigger",
    "TrojanCamError",
    "attribute",
    "attribution",
    "data",
    "detection",
    "donated",
    "dose_response",
    "evaluation",
    "figures",
    "grad_cam",
    "load",
    "logit",
    "logit_difference",
    "make_trigger",
    "models",
    "poison",
    "probability",
    "rates",
    "record",
    "scan",
    "stimulate",
    "stimulated_logits",
    "stimulation",
    "stream",
    "training",
    "triggers",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a part of the package, when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"trojancam.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"trojancam.{name}")
    raise AttributeError(f"module 'trojancam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
