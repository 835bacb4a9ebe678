"""TrojanCAM: see, find and remove backdoors in image classifiers.

The names in `__init__.pyi` are imported when they are first used, so that `import trojancam` is quick.
"""

import lazy_loader

from trojancam.version import __version__

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_, "__version__"]  # noqa: PLE0604
