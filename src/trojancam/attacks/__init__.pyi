from . import (
    adap_blend,
    adap_patch,
    additive,
    architectural,
    attack,
    attack_success,
    badnets,
    blend,
    blended,
    bpp,
    catalogue,
    combined,
    encoding,
    explanation_fooling,
    families,
    family,
    frequency,
    handcrafted,
    hidden,
    input_aware,
    label_consistent,
    latent,
    latent_backdoor,
    moving_patch,
    patch,
    poisoning,
    sig,
    sticker,
    stripes,
    tone,
    trigger,
    trigger_setting,
    trojaning,
    wanet,
    warp,
)
from .adap_blend import AdapBlend
from .adap_patch import AdapPatch
from .additive import Additive, AdditiveFamily
from .architectural import Branched, with_branch
from .attack import Attack, CleanNetwork, DataAttack, NetworkAttack
from .attack_success import attack_success_rate
from .badnets import BadNets
from .blend import Blend, BlendFamily, PartialBlend
from .blended import Blended
from .bpp import BppAttack, Quantised
from .catalogue import ATTACKS, make_attack
from .combined import AllOf, OneOf
from .explanation_fooling import ExplanationFooling
from .families import FAMILIES, image_family
from .family import Family, ImageFamily, Parameters
from .frequency import Frequency, FrequencyFamily
from .handcrafted import Handcrafted
from .input_aware import Generated, InputAware
from .label_consistent import LabelConsistent
from .latent import LatentFamily, LatentShift
from .latent_backdoor import LatentBackdoor
from .moving_patch import MovingPatch, MovingPatchFamily
from .patch import PLACES, PRESETS, Patch, PatchFamily, corner, from_image, make_trigger, square
from .poisoning import Goal, Poisoning, drawn_indices, poison, poisoned_set
from .sig import Sig
from .sticker import Physical, Sticker
from .stripes import Stripes, StripesFamily
from .tone import Tone, ToneFamily, brightness, contrast, saturation, tint
from .trigger import Trigger
from .trojaning import Trojaning
from .wanet import WaNet
from .warp import NoisyWarp, Warp, WarpFamily, wanet_flow

__all__ = [
    "ATTACKS",
    "FAMILIES",
    "PLACES",
    "PRESETS",
    "AdapBlend",
    "AdapPatch",
    "Additive",
    "AdditiveFamily",
    "AllOf",
    "Attack",
    "BadNets",
    "Blend",
    "BlendFamily",
    "Blended",
    "BppAttack",
    "Branched",
    "CleanNetwork",
    "DataAttack",
    "ExplanationFooling",
    "Family",
    "Frequency",
    "FrequencyFamily",
    "Generated",
    "Goal",
    "Handcrafted",
    "ImageFamily",
    "InputAware",
    "LabelConsistent",
    "LatentBackdoor",
    "LatentFamily",
    "LatentShift",
    "MovingPatch",
    "MovingPatchFamily",
    "NetworkAttack",
    "NoisyWarp",
    "OneOf",
    "Parameters",
    "PartialBlend",
    "Patch",
    "PatchFamily",
    "Physical",
    "Poisoning",
    "Quantised",
    "Sig",
    "Sticker",
    "Stripes",
    "StripesFamily",
    "Tone",
    "ToneFamily",
    "Trigger",
    "Trojaning",
    "WaNet",
    "Warp",
    "WarpFamily",
    "adap_blend",
    "adap_patch",
    "additive",
    "architectural",
    "attack",
    "attack_success",
    "attack_success_rate",
    "badnets",
    "blend",
    "blended",
    "bpp",
    "brightness",
    "catalogue",
    "combined",
    "contrast",
    "corner",
    "drawn_indices",
    "encoding",
    "explanation_fooling",
    "families",
    "family",
    "frequency",
    "from_image",
    "handcrafted",
    "hidden",
    "image_family",
    "input_aware",
    "label_consistent",
    "latent",
    "latent_backdoor",
    "make_attack",
    "make_trigger",
    "moving_patch",
    "patch",
    "poison",
    "poisoned_set",
    "poisoning",
    "saturation",
    "sig",
    "square",
    "sticker",
    "stripes",
    "tint",
    "tone",
    "trigger",
    "trigger_setting",
    "trojaning",
    "wanet",
    "wanet_flow",
    "warp",
    "with_branch",
]
