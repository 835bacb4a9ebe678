"""Opening: from a model file, and labelled images where there are any, to a network that is fed as it wants to be."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
