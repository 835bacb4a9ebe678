"""Removal: findings become a network without the backdoor, and a ledger of what that cost. No repair sees the true trigger."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
