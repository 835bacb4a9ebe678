"""Network: a classifier as a functional graph, its layers, and what one forward and one backward run say of them."""

from trojancam.network import targets
from trojancam.network.input import InputSpecification
from trojancam.network.layers import Layer
from trojancam.network.network import Cut, Network
from trojancam.network.recording import LayerRecording, Recording, record
from trojancam.network.targets import Target, custom, logit, logit_difference, probability

__all__ = [
    "Cut",
    "InputSpecification",
    "Layer",
    "LayerRecording",
    "Network",
    "Recording",
    "Target",
    "custom",
    "logit",
    "logit_difference",
    "probability",
    "record",
    "targets",
]
