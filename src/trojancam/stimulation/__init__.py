"""Stimulation: edits of a layer's activations, played on through the layers after it.

A `Stimulation` is data: which feature maps of which layer, what happens to them, and where. `stimulate` shows what one
does to a batch of images: logits, and the heat maps of the stimulated layer and of those after it, before and after;
`stimulated_logits` runs thousands of them through the part of the network after the layer alone; `dose_response` turns
one up step by step.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
