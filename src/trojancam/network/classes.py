"""Classes: their names, and finding one by its number or its name."""

from collections.abc import Iterable, Sequence

from trojancam.errors import DataError, unknown_name


def names_of_classes(given: object) -> tuple[str, ...]:
    """The names of classes, in order.

    Raises:
        DataError: if they are no words, or one word for all.

    >>> names_of_classes(["stop", "yield"])
    ('stop', 'yield')
    """
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    wrong = [given] if names is None else [name for name in names if not isinstance(name, str)]
    if names is None or wrong:
        raise DataError(
            f"class names are words, one for each class, not {str(wrong[0])[:40]!r}; give a list of them in order"
        )
    return names


def class_index(name_or_number: str | int, class_names: Sequence[str]) -> int:
    """The index of a class given by its number, its name, or a beginning that no other name shares.

    Upper and lower case are the same. A name wins over a number, so a class folder called "7" is found by its name.

    Raises:
        UnknownNameError: if no class, or more than one, is meant.

    >>> names = ("Yield", "Stop", "Roundabout mandatory")
    >>> class_index("stop", names), class_index("1", names), class_index(1, names), class_index("Roundabout", names)
    (1, 1, 1, 2)
    """
    text = str(name_or_number).strip()
    if isinstance(name_or_number, str):
        by_name = _index_by_name(text, class_names)
        if by_name is not None:
            return by_name
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(class_names):
        return int(text)
    raise unknown_name("class", name_or_number, class_names)


def _index_by_name(text: str, class_names: Sequence[str]) -> int | None:
    """The class called exactly so; else the only one called so in any case; else the only one that begins so."""
    wanted = text.casefold()
    folded = [name.casefold() for name in class_names]
    matches = (
        [i for i, name in enumerate(class_names) if name == text],
        [i for i, name in enumerate(folded) if name == wanted],
        [i for i, name in enumerate(folded) if wanted and not wanted.isdigit() and name.startswith(wanted)],
    )
    return next((found[0] for found in matches if len(found) == 1), None)
