from . import (
    additive,
    blend,
    encoding,
    families,
    family,
    frequency,
    latent,
    moving_patch,
    patch,
    poisoning,
    stripes,
    tone,
    trigger,
    warp,
)
from .additive import Additive, AdditiveFamily
from .blend import Blend, BlendFamily, PartialBlend
from .families import FAMILIES, image_family
from .family import Family, ImageFamily, Parameters
from .frequency import Frequency, FrequencyFamily
from .latent import LatentFamily, LatentShift
from .moving_patch import MovingPatch, MovingPatchFamily
from .patch import PLACES, PRESETS, Patch, PatchFamily, corner, from_image, make_trigger, square
from .poisoning import Poisoning, drawn_indices, poison
from .stripes import Stripes, StripesFamily
from .tone import Tone, ToneFamily, brightness, contrast, saturation, tint
from .trigger import Trigger
from .warp import NoisyWarp, Warp, WarpFamily, wanet_flow

__all__ = [
    "FAMILIES",
    "PLACES",
    "PRESETS",
    "Additive",
    "AdditiveFamily",
    "Blend",
    "BlendFamily",
    "Family",
    "Frequency",
    "FrequencyFamily",
    "ImageFamily",
    "LatentFamily",
    "LatentShift",
    "MovingPatch",
    "MovingPatchFamily",
    "NoisyWarp",
    "Parameters",
    "PartialBlend",
    "Patch",
    "PatchFamily",
    "Poisoning",
    "Stripes",
    "StripesFamily",
    "Tone",
    "ToneFamily",
    "Trigger",
    "Warp",
    "WarpFamily",
    "additive",
    "blend",
    "brightness",
    "contrast",
    "corner",
    "drawn_indices",
    "encoding",
    "families",
    "family",
    "frequency",
    "from_image",
    "image_family",
    "latent",
    "make_trigger",
    "moving_patch",
    "patch",
    "poison",
    "poisoning",
    "saturation",
    "square",
    "stripes",
    "tint",
    "tone",
    "trigger",
    "wanet_flow",
    "warp",
]
