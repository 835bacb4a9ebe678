"""Class matrix: from which class to which a trigger, or what a layer holds, leads, as one picture of all pairs of classes."""

from collections.abc import Sequence

import matplotlib
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from trojancam.errors import DataError
from trojancam.figures.layout import INK, PALE_INK
from trojancam.text import as_text

NAMED = 20  # classes, at most, whose names stand at the edges; of more, the numbers of every fifth
EVERY = 5
LONGEST = 28  # characters of a name
CELL, EDGE = 0.16, 2.8  # inches
SMALLEST, LARGEST = 2.4, 6.0  # inches of the matrix's side
COLOURS, NOTHING = "Blues", "#e3e6e8"  # more is darker; classes of which nothing is known
FOUND = "#d55e00"


def class_matrix(
    values: Float[Tensor, "classes classes"],
    class_names: Sequence[str],
    found: Sequence[tuple[int, int]] = (),
    meaning: str = "share of images",
) -> Figure:
    """A picture of what leads from each class (rows) to each class (columns); the pairs that were found are framed.

    Values lie in [0, 1], and in their own range where the greatest is below 0.1; `meaning` says what they are. Rows that are
    not numbers, as of classes without images, are grey.

    Raises:
        DataError: if the matrix is not of these classes.

    >>> import torch
    >>> figure = class_matrix(torch.eye(3), ["stop", "yield", "bend"], [(0, 0)])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['stop', 'yield', 'bend']
    """
    count = len(class_names)
    if tuple(values.shape) != (count, count):
        raise DataError(f"the matrix is of {tuple(values.shape)} classes, but there are {count} names")
    side = min(LARGEST, max(SMALLEST, CELL * count))
    edge = EDGE if count <= NAMED else EDGE / 2
    figure = Figure(figsize=(side + edge, side + edge / 1.6), layout="constrained")
    axes = figure.subplots()
    greatest = float(values.nan_to_num(0).max())
    colours = matplotlib.colormaps[COLOURS].with_extremes(bad=NOTHING)
    shown = axes.imshow(
        values.cpu().double().numpy(), cmap=colours, vmin=0, vmax=1 if greatest >= 0.1 else greatest or 1
    )
    for own, target in found:
        axes.add_patch(Rectangle((target - 0.5, own - 0.5), 1, 1, fill=False, edgecolor=FOUND, linewidth=1.2))
    places = list(range(count)) if count <= NAMED else list(range(0, count, EVERY))
    labels = [as_text(class_names[place])[:LONGEST] if count <= NAMED else str(place) for place in places]
    axes.set_xticks(places, labels, rotation=90 if count <= NAMED else 0, fontsize=8, parse_math=False)
    axes.set_yticks(places, labels, fontsize=8, parse_math=False)
    axes.set_xlabel("to this class", fontsize=9, color=INK)
    axes.set_ylabel("from this class", fontsize=9, color=INK)
    axes.tick_params(length=2, color=PALE_INK)
    for spine in axes.spines.values():
        spine.set_color(PALE_INK)
    bar = figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label(meaning, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure
