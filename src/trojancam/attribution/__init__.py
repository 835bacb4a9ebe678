"""Attribution: how much each feature map of a layer, cell by cell, speaks for a score; the CAM family and baselines.

A class activation map is a sum over feature maps, and here the sum stays open: an attribution holds its signed terms,
and the layer's map, the single feature maps and the heat maps for display all follow from them. `attribute` runs any of
`METHODS` on one recording of a batch; `grad_cam` is the one most asked for, and `from_map` takes any map as it is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
