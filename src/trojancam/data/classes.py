"""The 43 classes of GTSRB, and finding a class by its number or name."""

from collections.abc import Sequence

from trojancam.errors import unknown_name

GTSRB_CLASS_NAMES: tuple[str, ...] = (
    "Speed limit (20km/h)",
    "Speed limit (30km/h)",
    "Speed limit (50km/h)",
    "Speed limit (60km/h)",
    "Speed limit (70km/h)",
    "Speed limit (80km/h)",
    "End of speed limit (80km/h)",
    "Speed limit (100km/h)",
    "Speed limit (120km/h)",
    "No passing",
    "No passing for vehicles over 3.5 metric tons",
    "Right-of-way at the next intersection",
    "Priority road",
    "Yield",
    "Stop",
    "No vehicles",
    "Vehicles over 3.5 metric tons prohibited",
    "No entry",
    "General caution",
    "Dangerous curve to the left",
    "Dangerous curve to the right",
    "Double curve",
    "Bumpy road",
    "Slippery road",
    "Road narrows on the right",
    "Road work",
    "Traffic signals",
    "Pedestrians",
    "Children crossing",
    "Bicycles crossing",
    "Beware of ice/snow",
    "Wild animals crossing",
    "End of all speed and passing limits",
    "Turn right ahead",
    "Turn left ahead",
    "Ahead only",
    "Go straight or right",
    "Go straight or left",
    "Keep right",
    "Keep left",
    "Roundabout mandatory",
    "End of no passing",
    "End of no passing by vehicles over 3.5 metric tons",
)


def class_index(name_or_number: str | int, class_names: Sequence[str]) -> int:
    """The index of a class given by its number, its name, or a beginning that no other name shares.

    Upper and lower case are the same. A name wins over a number, so a class folder called "7" is found by its name.

    Raises:
        UnknownNameError: if no class, or more than one, is meant.

    >>> class_index("stop", GTSRB_CLASS_NAMES), class_index("14", GTSRB_CLASS_NAMES), class_index(14, GTSRB_CLASS_NAMES)
    (14, 14, 14)
    >>> class_index("Roundabout", GTSRB_CLASS_NAMES)
    40
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
