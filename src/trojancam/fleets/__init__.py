"""Fleets: many models, each worked on in a process of its own, their results in one table that a kill does not hurt.

The package has this name because `trojancam.fleet` is the function that notebooks call.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
