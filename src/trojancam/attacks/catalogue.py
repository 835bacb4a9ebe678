"""Catalogue: the attacks that can be planted by name."""

import json
from collections.abc import Sequence

from trojancam.attacks.adap_blend import AdapBlend
from trojancam.attacks.adap_patch import AdapPatch
from trojancam.attacks.attack import Attack, with_settings
from trojancam.attacks.badnets import BadNets
from trojancam.attacks.blended import Blended
from trojancam.attacks.bpp import BppAttack
from trojancam.attacks.explanation_fooling import ExplanationFooling
from trojancam.attacks.handcrafted import Handcrafted
from trojancam.attacks.input_aware import InputAware
from trojancam.attacks.label_consistent import LabelConsistent
from trojancam.attacks.latent_backdoor import LatentBackdoor
from trojancam.attacks.sig import Sig
from trojancam.attacks.sticker import Physical
from trojancam.attacks.trojaning import Trojaning
from trojancam.attacks.wanet import WaNet
from trojancam.errors import DataError, TrojanCamError
from trojancam.registry import Registry


def as_attack(name: str, given: object) -> type[Attack]:
    """The attack that a package or a script registers.

    Raises:
        TrojanCamError: if it is none.
    """
    if not (isinstance(given, type) and issubclass(given, Attack)):
        raise TrojanCamError(f"the attack {name!r} must be a class derived from Attack, but is {given!r}")
    return given


_OWN: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        BadNets, Blended, Sig, WaNet, BppAttack, AdapBlend, AdapPatch, Physical, LabelConsistent, InputAware, Trojaning,
        LatentBackdoor, ExplanationFooling, Handcrafted,
    )
}  # fmt: skip
ATTACKS = Registry("attack", "trojancam.attacks", as_attack, _OWN)
"""All attacks by name; packages add theirs as entry points of the group `trojancam.attacks`."""


def make_attack(name: str, **settings: object) -> Attack:
    """The attack of this name, with these settings.

    Raises:
        UnknownNameError: if there is no such attack or setting.
        DataError: if a setting is of another type, or out of its range.

    >>> make_attack("sig", amplitude=0.1).amplitude
    0.1
    """
    return with_settings(ATTACKS.named(name), settings)


def parsed_settings(texts: Sequence[str]) -> dict[str, object]:
    """What `--set NAME=VALUE` options say: values by name. A value is JSON, or else a word.

    Raises:
        DataError: if one is of another form.

    >>> parsed_settings(["strength=0.5", "kind=tape"])
    {'strength': 0.5, 'kind': 'tape'}
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise DataError(f"a setting has the form NAME=VALUE, such as strength=0.5, not {text!r}")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value.strip()
    return found
