"""Explore: images, layers and feature maps looked at by hand in a browser; the server behind the page, for one machine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
