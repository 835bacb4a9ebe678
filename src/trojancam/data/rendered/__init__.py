"""Rendered traffic signs, the default data set, and rendered objects: images that this package draws itself.

`canvas` draws in sign units; `plates`, `lettering` and `pictograms` are what signs consist of, and `templates` puts
them together per class. `backgrounds` draws what stands behind. `scenes` draws at random how a sign stands and is
photographed, `camera` takes the photograph, and `signs` makes data sets of it; `balanced` says of how many images of what.

Of objects, `household` and `outdoors` draw the silhouettes, in the `materials` of which `designs` makes templates. `surfaces`
draws at random what an object is made of, `photographs` gives texture and backdrop, and `objects` makes data sets.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
