"""Rendered traffic signs: all 43 classes of GTSRB, drawn by this package itself; the default data set.

`canvas` draws in sign units; `plates`, `lettering` and `pictograms` are what signs consist of, and `templates` puts
them together per class. `backgrounds` draws what stands behind. `scenes` draws at random how a sign stands and is
photographed, `camera` takes the photograph, and `signs` makes data sets of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
