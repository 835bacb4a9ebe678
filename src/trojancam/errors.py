"""What can go wrong that a user can mend: each error is one sentence that names the thing and the remedy."""

import difflib
from collections.abc import Iterable


class TrojanCamError(Exception):
    """A problem the user can mend; the command line prints its sentence and exits with code 2."""


class DataError(TrojanCamError):
    """Images, labels or their files are not what they should be."""


class ModelError(TrojanCamError):
    """A model, or its file, cannot be used as it is."""


class UnknownNameError(TrojanCamError):
    """A class, layer, feature map, architecture or option that does not exist."""


class TrojanCamWarning(UserWarning):
    """What the user should know before trusting a result; the command line prints its sentence in one line."""


def unknown_name(kind: str, name: object, known: Iterable[object]) -> UnknownNameError:
    """The error for a name that does not exist: it lists the known ones, a likely slip of the pen first.

    >>> str(unknown_name("layer", "conv2d_9", ["conv2d_8", "dense"]))
    "unknown layer 'conv2d_9' (did you mean 'conv2d_8'?); known: conv2d_8, dense"
    """
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UnknownNameError(f"unknown {kind} {str(name)!r}{hint}; known: {', '.join(names) or 'none'}")
