"""Sifting: what each input-level defence says of the image that is looked at, and where those that know a place see it."""

import time
from typing import Any

from trojancam.data.image_set import as_floats
from trojancam.defences.sieve import DEFENCES, Sieve, known_methods, learned
from trojancam.errors import ModelError
from trojancam.explore.models import Model
from trojancam.explore.refusals import told_to_page
from trojancam.explore.session import Session
from trojancam.explore.subjects import AboutDefence
from trojancam.explore.wire import array

CLEAN = 120  # test images, at most, that a defence learns from: half to learn, half for its threshold
FALSE_ALARMS = 0.05  # of clean images


def sift(session: Session, asked: AboutDefence) -> dict[str, Any]:
    """The score of an image by one defence, with its p-value among clean test images, the threshold, and the place.

    The place of cognitive distillation is the minimal mask: the fewest pixels on which the network answers as on all of them.

    Where the defence cannot work with the network, `unable` says why.

    Raises:
        TrojanCamError: if there is no such subject or defence, or the clean images are too few.
    """
    started = time.perf_counter()
    known_methods([asked.defence])
    seen = session.seen(asked.subject)
    try:
        sieve = session.cache.get(
            (seen.model.identifier, "sieve", asked.defence), lambda: _sieve(seen.model, asked.defence)
        )
    except ModelError as refusal:  # of the network, not of the question
        return {"defence": asked.defence, "unable": told_to_page(refusal)["error"]}
    found = sieve(seen.image[None]).by_method[asked.defence]
    return {
        "defence": asked.defence,
        "score": float(found.scores[0]),
        "p_value": float(found.p_values[0]),
        "threshold": found.threshold,
        "suspicious": bool(found.suspicious[0]),
        "place": None if found.places is None else array(found.places[0]),
        "false_alarms": FALSE_ALARMS,
        "seconds": time.perf_counter() - started,
    }


def defences() -> list[dict[str, str]]:
    """The defences by name, with their titles and sources.

    >>> defences()[0]["name"]
    'contributions'
    """
    return [{"name": name, "title": each.title, "source": each.source} for name, each in DEFENCES.items()]


def _sieve(model: Model, defence: str) -> Sieve:
    clean = model.images.sample(CLEAN, 0, spread=True)
    return learned(model.network, as_floats(clean.images), [defence], false_alarms=FALSE_ALARMS)
