from . import (
    attributing,
    attribution,
    baselines,
    cam_function,
    diagnoses,
    eigen,
    energy,
    gradients,
    methods,
    occlusion,
    perturbations,
    sources,
    streaming,
)
from .attributing import attribute, from_recording, grad_cam
from .attribution import Attribution, FeatureMapAttribution, MapAttribution, from_map
from .energy import energy_in_mask
from .methods import INPUT, METHODS, Method, MethodInput
from .streaming import read_stream, stream

__all__ = [
    "INPUT",
    "METHODS",
    "Attribution",
    "FeatureMapAttribution",
    "MapAttribution",
    "Method",
    "MethodInput",
    "attribute",
    "attributing",
    "attribution",
    "baselines",
    "cam_function",
    "diagnoses",
    "eigen",
    "energy",
    "energy_in_mask",
    "from_map",
    "from_recording",
    "grad_cam",
    "gradients",
    "methods",
    "occlusion",
    "perturbations",
    "read_stream",
    "sources",
    "stream",
    "streaming",
]
