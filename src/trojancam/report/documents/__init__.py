"""What the commands write as JSON: a class for each, which writes it, checks it and describes it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
