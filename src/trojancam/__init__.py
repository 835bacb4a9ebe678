"""TrojanCAM: see, find and remove backdoors in image classifiers.

The names in `__init__.pyi` are imported when they are first used, so that `import trojancam` is quick.
"""

from trojancam.startup import leave_current_folder

leave_current_folder()  # before anything is imported that is not of this package

import lazy_loader  # noqa: E402

from trojancam.version import __version__  # noqa: E402

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_, "__version__"]  # noqa: PLE0604
