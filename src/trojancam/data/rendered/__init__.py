"""Rendered traffic signs: all 43 classes of GTSRB, drawn by this package itself; the default data set.

`canvas` draws in sign units; `plates`, `lettering` and `pictograms` are what signs consist of, and `templates` puts
them together per class. `backgrounds` draws what stands behind. `scenes` draws at random how a sign stands and is
photographed, `camera` takes the photograph, and `signs` makes data sets of it.
"""

from trojancam.data.rendered.backgrounds import KIND_NAMES as BACKGROUNDS
from trojancam.data.rendered.signs import render_images, rendered_signs
from trojancam.data.rendered.templates import sign_templates

__all__ = ["BACKGROUNDS", "render_images", "rendered_signs", "sign_templates"]
