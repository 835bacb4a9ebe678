"""Findings in words, as reports and pages say them: the verdict, the place, the feature maps, shares."""

import math
from collections.abc import Sequence

NAMED = 4  # feature maps, at most, that are listed in a row

ANSWERS = {
    "backdoor": "Evidence of a backdoor",
    "inconclusive": "Inconclusive",
    "nothing found": "Nothing found in what was searched",
    "not judged": "Not judged",
}

WEAKER = (
    "A weaker finding may be a by-product of the strongest one: repair the strongest first, and scan again to see whether the "
    "weaker is still there."
)


def place_in_words(position: tuple[float, float], size: tuple[int, int]) -> str:
    """Which ninth of the image a row and column lie in.

    >>> place_in_words((3.5, 27.5), (32, 32)), place_in_words((16.0, 16.0), (32, 32)), place_in_words((16.0, 1.0), (32, 32))
    ('top right', 'centre', 'left')
    """
    thirds = [min(2, int(3 * value / extent)) for value, extent in zip(position, size, strict=True)]
    words = [("top", "", "bottom")[thirds[0]], ("left", "", "right")[thirds[1]]]
    return " ".join(word for word in words if word) or "centre"


def maps_in_words(layer: str | None, feature_maps: Sequence[int]) -> str:
    """A layer and some of its feature maps, the first few by number.

    >>> maps_in_words("conv2d_5", (4, 6)), maps_in_words(None, ())
    ('conv2d_5: 4, 6', 'not told')
    """
    if layer is None:
        return "not told"
    more = f" and {len(feature_maps) - NAMED} more" if len(feature_maps) > NAMED else ""
    return f"{layer}: {', '.join(map(str, feature_maps[:NAMED]))}{more}"


def share(value: float | None) -> str:
    """A rate in percent, a dash where there is none.

    >>> share(0.984), share(None)
    ('98%', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{value:.0%}"
