from . import (
    doses,
    edits,
    stimulating,
    stimulation,
    variants,
)
from .doses import DoseResponse, dose_response
from .stimulating import GRADIENTS, Stimulated, stimulate
from .stimulation import KINDS, RESTS, UNITS, Stimulation, donated
from .variants import stimulated_logits

__all__ = [
    "GRADIENTS",
    "KINDS",
    "RESTS",
    "UNITS",
    "DoseResponse",
    "Stimulated",
    "Stimulation",
    "donated",
    "dose_response",
    "doses",
    "edits",
    "stimulate",
    "stimulated_logits",
    "stimulating",
    "stimulation",
    "variants",
]
