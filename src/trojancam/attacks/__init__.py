"""Attacks: what an attacker does to an image, and to a training set."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
