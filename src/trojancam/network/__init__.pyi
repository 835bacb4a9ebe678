from . import (
    card,
    channels_last,
    graph,
    input,
    layers,
    modules,
    network,
    operations,
    outputs,
    placement,
    recording,
    targets,
)
from .input import InputSpecification
from .layers import Layer
from .network import Cut, Network
from .recording import LayerRecording, Recording, record
from .targets import Target, custom, logit, logit_difference, probability

__all__ = [
    "Cut",
    "InputSpecification",
    "Layer",
    "LayerRecording",
    "Network",
    "Recording",
    "Target",
    "card",
    "channels_last",
    "custom",
    "graph",
    "input",
    "layers",
    "logit",
    "logit_difference",
    "modules",
    "network",
    "operations",
    "outputs",
    "placement",
    "probability",
    "record",
    "recording",
    "targets",
]
