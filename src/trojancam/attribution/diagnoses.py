"""Diagnoses: what makes a map say less than it seems to, in words.

A heat map is drawn on a scale of its own, so one that is all rounding looks like any other. These sentences go with it.
"""

from jaxtyping import Float
from torch import Tensor

Terms = Float[Tensor, "k h w"]
Weights = Float[Tensor, " k"]

ZERO = 1e-12  # a float32 logit is coarser than this by far: a smaller contribution to it is none

NOT_FINITE = "some contributions are not finite, so the map means nothing; look for overflow in the network"
OFF_PATH = "the score does not depend on this layer: no gradient comes back to it"
SATURATED = "the probability is so close to 0 or 1 that its gradient has vanished; explain the logit instead"
ALL_NEGATIVE = "no weight is positive, so no feature map of the layer speaks for the score as a whole"
NO_REACTION = "the score does not react to this layer"
NOT_ACTIVE = "no feature map is active"
NO_CELL = "no cell speaks for the class"
ONE_VALUE = "all cells are alike, so there is nothing to point at"


def diagnose(terms: Terms, weights: Weights | None, on_path: bool, saturated: bool) -> tuple[str, ...]:
    """All that is wrong with the map of one image, the gravest first; nothing where nothing is.

    `terms` are signed and add up to the map; `weights` are those of the feature maps where there are any.
    """
    if not bool(terms.isfinite().all()):
        return (NOT_FINITE,)
    found = [] if on_path else [OFF_PATH]
    if saturated:
        found.append(SATURATED)
    if weights is not None and bool((weights <= 0).all()) and bool((weights < -ZERO).any()):
        found.append(ALL_NEGATIVE)
    if float(terms.sum(0).amax()) <= ZERO:
        found.append(f"the map is blank: {blank_reason(terms, weights)}")
    return tuple(found)


def blank_reason(terms: Terms, weights: Weights | None) -> str:
    """Why the map of one image is blank, if it is."""
    if float(terms.abs().amax()) > ZERO:
        return NO_CELL
    if weights is None:
        return ONE_VALUE
    return NO_REACTION if float(weights.abs().amax()) <= ZERO else NOT_ACTIVE
