"""Words under and over pictures: class, logit and probability; what a heat map shows; numbers that print well."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import Attribution, MapAttribution, diagnoses
from trojancam.errors import unknown_name
from trojancam.text import with_minus

DOT = " \N{MIDDLE DOT} "
BLANK = f"blank: {diagnoses.NO_CELL}"
ZERO = diagnoses.ZERO


def caption(logits: Float[Tensor, " classes"], class_names: Sequence[str], class_index: int | None = None) -> str:
    """Class, logit and probability of one image: of the predicted class, unless told otherwise.

    Raises:
        UnknownNameError: if there is no such class.

    >>> import torch
    >>> caption(torch.tensor([9.0, 1.0]), ["Stop", "Yield"]).split(DOT)
    ['Stop', 'logit 9.0', 'p > 0.999']
    >>> caption(torch.tensor([9.0, 1.0]), ["Stop", "Yield"], 1).split(DOT)
    ['Yield', 'logit 1.0', 'p = 3e-4']
    """
    index = int(logits.argmax()) if class_index is None else class_index
    if not 0 <= index < len(class_names):
        raise unknown_name("class", index, [f"0 to {len(class_names) - 1}"])
    chance = float(logits.double().softmax(0)[index])
    return DOT.join([class_names[index], f"logit {with_minus(f'{float(logits[index]):z.1f}')}", probability(chance)])


def describe(attribution: Attribution) -> str:
    """What an attribution shows, in one line: layer, feature maps and their cells, method and target."""
    size = f"a map of {cells(attribution)}"
    if not isinstance(attribution, MapAttribution):
        maps = attribution.contributions.shape[1]
        size = f"{maps} feature map{'s' * (maps != 1)} of {cells(attribution)}"
    return DOT.join([attribution.layer, size, attribution.method, attribution.target])


def cells(attribution: Attribution) -> str:
    """The size of a layer's maps, such as `16x12`: height by width."""
    height, width = attribution.cells
    return f"{height}x{width}"


def probability(value: float) -> str:
    """A probability, three digits where they tell something.

    >>> probability(0.25), probability(0.9999), probability(0.00003), probability(0.0)
    ('p = 0.250', 'p > 0.999', 'p = 3e-5', 'p < 1e-99')
    """
    if value > 0.999:
        return "p > 0.999"
    if value < 1e-99:
        return "p < 1e-99"
    return f"p = {value:.3f}" if value >= 0.001 else f"p = {_short_exponent(f'{value:.0e}')}"


def number(value: float) -> str:
    """A number with three digits.

    >>> number(12.345), number(0.0001234), number(0.0)
    ('12.3', '1.23e-4', '0')
    """
    return with_minus(_short_exponent(f"{value:z.2e}" if 0 < abs(value) < 0.001 else f"{value:z.3g}"))


def percent(share: float) -> str:
    """A share in [0, 1], with two digits.

    >>> percent(1.0), percent(0.052), percent(0.0001)
    ('100%', '5.2%', '0.0%')
    """
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def blank_reason(attribution: Attribution, index: int) -> str:
    """Why the layer's map of an image is blank, where it is, in words."""
    return f"blank: {attribution.blank_reason(index)}"


def _short_exponent(text: str) -> str:
    """`3e-05` as `3e-5`."""
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else text
