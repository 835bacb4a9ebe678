"""Formats: a reader for each format that models come in. None of them runs anything that a file says."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
