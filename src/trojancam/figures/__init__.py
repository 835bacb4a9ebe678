"""Figures: results as pictures. Every function takes a result and gives a matplotlib `Figure`; none keeps any state.

A picture shows the image's own pixels (never smoothed), heat maps with a colour bar of their real values, and says in
words what cannot be seen: that a map is blank, or that each map has a scale of its own.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
