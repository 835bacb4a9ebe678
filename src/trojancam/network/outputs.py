"""Outputs: which of a network's several results are its logits, by their shapes and by the names that they have."""

import re
from collections.abc import Sequence

from trojancam.errors import LISTED, SeveralOutputsError, unknown_name

Output = str | int | None  # the name or the number of an output, None for the one that is most likely meant

UNKNOWN = 0  # numbers for each image, where nobody says how many
NAMES = ("logits", "probabilities", "predictions", "scores")  # of what tells classes apart, the plainest first


def chosen_output(
    names: Sequence[str], widths: Sequence[int | None], wanted: Output = None, classes: int | None = None
) -> int:
    """The place of the output that is taken for the logits.

    `widths` says how many numbers each gives for an image: `UNKNOWN` if nobody says, None if it gives no row of numbers. Of
    `classes`, where their number is known, there must be as many. Without a `wanted` one, the only one that can be it is
    taken, else the one that is called so. An output without a name is called by its number, from 0. Of several with one
    name the first counts. Where no output gives rows of numbers, it is the first.

    Raises:
        UnknownNameError: if there is no such output.
        SeveralOutputsError: if several can be it.

    >>> chosen_output(["maps", "head"], [None, 3]), chosen_output(["features", "logits"], [64, 3])
    (1, 1)
    >>> chosen_output(["0", "1"], [64, 3], classes=3), chosen_output(["0", "1"], [64, 3], "0")
    (1, 0)
    """
    if wanted is not None:
        return _place(names, wanted)
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    able = [place for place, width in enumerate(widths) if width is not None and first[names[place]] == place]
    able = [place for place in able if widths[place] != 1] or able  # one number may be a measure of doubt, or a value
    if classes is not None:
        able = [place for place in able if widths[place] in (classes, UNKNOWN)] or able
    if len(able) > 1:
        able = _called(names, able) or able
    if len(able) > 1:
        raise SeveralOutputsError([names[place] for place in able])
    return next(iter(able), 0)


def choice_in_words(names: Sequence[str], place: int) -> tuple[str, ...]:
    """A sentence that says which output is taken, if there are several.

    >>> choice_in_words(["maps", "scores"], 1)
    ("of its outputs (maps, scores) 'scores' is taken for the logits",)
    """
    if len(names) < 2:
        return ()
    listed = ", ".join(repr(name[:40])[1:-1] for name in names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return (f"of its outputs ({listed}) {names[place][:80]!r} is taken for the logits",)


def _called(names: Sequence[str], able: Sequence[int]) -> list[int]:
    """Those with the plainest name: in full, then as its last part, then as one of its words, but not of a second head."""
    last = {place: names[place].lower().rpartition(".")[2] for place in able}
    words = {place: re.split(r"[^a-z]+", name) for place, name in last.items()}
    main = [place for place in able if not any(word.startswith("aux") for word in words[place])]
    for name in NAMES:
        for found in (
            [place for place in able if names[place].lower() == name],
            [place for place in main if last[place] == name],
            [place for place in main if name in words[place]],
        ):
            if found:
                return found
    return []


def _place(names: Sequence[str], wanted: str | int) -> int:
    if str(wanted) in names:
        return list(names).index(str(wanted))
    if str(wanted).isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise unknown_name("output", wanted, [name[:80] for name in names[:LISTED]])
