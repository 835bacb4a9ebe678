from . import (
    batches,
    card,
    channels_last,
    cut,
    devices,
    draws,
    graph,
    input,
    layers,
    margins,
    modules,
    network,
    operations,
    outputs,
    placement,
    recording,
    replay,
    targets,
)
from .cut import Cut
from .input import InputSpecification
from .layers import Layer
from .network import Network
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
    "batches",
    "card",
    "channels_last",
    "custom",
    "cut",
    "devices",
    "draws",
    "graph",
    "input",
    "layers",
    "logit",
    "logit_difference",
    "margins",
    "modules",
    "network",
    "operations",
    "outputs",
    "placement",
    "probability",
    "record",
    "recording",
    "replay",
    "targets",
]
