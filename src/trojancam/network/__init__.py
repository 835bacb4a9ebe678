"""Network: a classifier as a functional graph, its layers, and what one forward and one backward run say of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
