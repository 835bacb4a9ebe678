"""Outputs: which of a network's several results are its logits, by the names that they have."""

from collections.abc import Sequence

from trojancam.errors import unknown_name

Output = str | int | None  # the name or the number of an output, None for the one that is most likely meant

LISTED = 12  # a sentence names no more of them


def chosen_output(names: Sequence[str], logits: Sequence[bool], wanted: Output = None) -> int:
    """The place of the output that is taken for the logits.

    `logits` says which of them can be: those with a number for each class. Without a `wanted` one it is the first of
    these, but one that is called `logits` comes before; where there is none of them, the first output at all. An
    output without a name is called by its number, from 0.

    Raises:
        UnknownNameError: if there is no such output.

    >>> chosen_output(["maps", "scores"], [False, True]), chosen_output(["maps", "scores"], [False, True], "0")
    (1, 0)
    """
    if wanted is not None:
        return _place(names, wanted)
    able = [place for place, able in enumerate(logits) if able]
    called = [place for place in able if names[place].lower() == "logits"]
    return next(iter(called or able), 0)


def choice_in_words(names: Sequence[str], place: int) -> tuple[str, ...]:
    """A sentence that says which output is taken, if there are several.

    >>> choice_in_words(["maps", "scores"], 1)
    ("of its outputs (maps, scores) 'scores' is taken for the logits",)
    """
    if len(names) < 2:
        return ()
    listed = ", ".join(repr(name[:40])[1:-1] for name in names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return (f"of its outputs ({listed}) {names[place][:80]!r} is taken for the logits",)


def _place(names: Sequence[str], wanted: str | int) -> int:
    if str(wanted) in names:
        return list(names).index(str(wanted))
    if str(wanted).isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise unknown_name("output", wanted, [name[:80] for name in names[:LISTED]])
