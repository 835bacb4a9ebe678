"""Tasks: what a user asks for, from typed settings to a typed result; no page, no terminal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
