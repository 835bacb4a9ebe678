"""Detection: a network and clean images become findings, and a verdict. No detector sees a trigger, a mask or a target."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
