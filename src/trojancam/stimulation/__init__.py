"""Stimulation: edits of a layer's activations, played on through the layers after it.

A `Stimulation` is data: which feature maps of which layer, what happens to them, and where. `stimulate` shows what one
does to a batch of images: logits, and the heat maps of the stimulated layer and of those after it, before and after;
`stimulated_logits` runs thousands of them through the part of the network after the layer alone; `dose_response` turns
one up step by step.
"""

from trojancam.stimulation.doses import DoseResponse, dose_response
from trojancam.stimulation.stimulating import GRADIENTS, Stimulated, stimulate
from trojancam.stimulation.stimulation import KINDS, RESTS, UNITS, Stimulation, donated
from trojancam.stimulation.variants import stimulated_logits

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
    "stimulate",
    "stimulated_logits",
]
