"""Attribution: how much each feature map of a layer, cell by cell, speaks for a score; the CAM family and baselines.

A class activation map is a sum over feature maps, and here the sum stays open: an attribution holds its signed terms,
and the layer's map, the single feature maps and the heat maps for display all follow from them. `attribute` runs any of
`METHODS` on one recording of a batch; `grad_cam` is the one most asked for, and `from_map` takes any map as it is.
"""

from trojancam.attribution.attributing import MEMORY_BUDGET, attribute, check_memory_budget, from_recording, grad_cam
from trojancam.attribution.attribution import Attribution, FeatureMapAttribution, MapAttribution, from_map
from trojancam.attribution.energy import energy_in_mask
from trojancam.attribution.methods import INPUT, METHODS, Job, Method
from trojancam.attribution.streaming import stream

__all__ = [
    "INPUT",
    "MEMORY_BUDGET",
    "METHODS",
    "Attribution",
    "FeatureMapAttribution",
    "Job",
    "MapAttribution",
    "Method",
    "attribute",
    "check_memory_budget",
    "energy_in_mask",
    "from_map",
    "from_recording",
    "grad_cam",
    "stream",
]
