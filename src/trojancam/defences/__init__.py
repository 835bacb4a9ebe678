"""Defences: which images bear a trigger, images and training data cleaned of it, and a guard for networks in use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
