"""The families of changes of images, by name."""

from trojancam.attacks.additive import AdditiveFamily
from trojancam.attacks.blend import BlendFamily
from trojancam.attacks.family import ImageFamily
from trojancam.attacks.frequency import FrequencyFamily
from trojancam.attacks.moving_patch import MovingPatchFamily
from trojancam.attacks.patch import PatchFamily
from trojancam.attacks.stripes import StripesFamily
from trojancam.attacks.tone import ToneFamily
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.warp import WarpFamily
from trojancam.errors import unknown_name

FAMILIES: dict[str, type[ImageFamily[Trigger]]] = {
    family.name: family
    for family in (
        PatchFamily, MovingPatchFamily, AdditiveFamily, BlendFamily, StripesFamily, FrequencyFamily, WarpFamily, ToneFamily,
    )
}  # fmt: skip
"""Every family of changes that triggers can be members of, by name."""


def image_family(name: str, image_size: tuple[int, int]) -> ImageFamily[Trigger]:
    """The family of this name, for images of a size.

    Raises:
        UnknownNameError: if there is none.

    >>> image_family("warp", (32, 32)).unit
    'pixels of root mean square displacement'
    """
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name](image_size)
