"""Opening: from a model file, and labelled images where there are any, to a network that is fed as it wants to be."""

from trojancam.opening import preprocessing
from trojancam.opening.open import load, network_of

__all__ = ["load", "network_of", "preprocessing"]
