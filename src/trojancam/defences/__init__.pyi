from . import (
    calibration,
    cleaning,
    cleansing,
    cognitive_distillation,
    contributions,
    deepsweep,
    defence,
    guard,
    ibd_psc,
    scale_up,
    sentinet,
    sieve,
    strip,
)
from .cleaning import CleanedImages, cleaned
from .cleansing import CLEANSERS, cleansed
from .defence import Defence, Reference, Scores, Seen
from .guard import Guard, Guarded
from .sieve import DEFAULT_METHODS, DEFENCES, Judged, Sieve, Sifted, learned

__all__ = [
    "CLEANSERS",
    "DEFAULT_METHODS",
    "DEFENCES",
    "CleanedImages",
    "Defence",
    "Guard",
    "Guarded",
    "Judged",
    "Reference",
    "Scores",
    "Seen",
    "Sieve",
    "Sifted",
    "calibration",
    "cleaned",
    "cleaning",
    "cleansed",
    "cleansing",
    "cognitive_distillation",
    "contributions",
    "deepsweep",
    "defence",
    "guard",
    "ibd_psc",
    "learned",
    "scale_up",
    "sentinet",
    "sieve",
    "strip",
]
