"""What can go wrong that a user can fix: each error says what is wrong, and what to do about it.

What to do is data where each face has its own words for it: a command has an option, a function an argument, the explorer
a field in a dialog.
"""

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum

from trojancam.text import as_text


class Remedy(StrEnum):
    """What a user can do about an error."""

    ARCHITECTURE = "architecture"  # say what builds the network of a file of weights; detail: the registered names
    NO_ARCHITECTURE = "no architecture"
    NO_KEY = "no key"
    OUTPUT = "output"  # say which of several outputs gives the logits
    PREPROCESSING = "preprocessing"  # say how the network is fed
    SIZE = "size"  # say how large its images are
    NO_SIZE = "no size"
    LABELLED_IMAGES = "labelled images"  # give some to try on how it is fed
    MORE_IMAGES = "more images"
    ITS_CLASSES = "its classes"  # give images of the network's classes, in the network's order
    SAME_CLASSES = "same classes"  # network and images have more or fewer classes
    MODEL_FILE = "model file"  # the path is wrong, or there is no file yet
    INSTALL = "install"  # detail: what pip installs
    IMPORTABLE = "importable"  # a module of the user's own has another name, or is not on the path
    RESUME = "resume"  # go on from a checkpoint, or delete it
    PORT = "port"
    STUDY = "study"  # several are installed
    FORCE = "force"  # do what is usually of no use
    SCAN = "scan"  # give the scan that found something
    WHOLE = "whole"  # look at all of each image: nothing says where in it the object is


PYTHON: Mapping[Remedy, str] = {
    Remedy.ARCHITECTURE: (
        "say which with architecture=: one of this library's ({detail}), a module or a callable of your own, "
        "'module:callable', 'file.py:callable', 'timm:NAME' or 'torchvision:NAME'"
    ),
    Remedy.NO_ARCHITECTURE: "leave out architecture=",
    Remedy.NO_KEY: "leave out key=",
    Remedy.OUTPUT: "say which with output=",
    Remedy.PREPROCESSING: "say how it is fed with preprocessing=",
    Remedy.SIZE: "say it with size=(height, width)",
    Remedy.NO_SIZE: "leave out size=",
    Remedy.LABELLED_IMAGES: "give labelled images to try on, as images= and labels=",
    Remedy.MORE_IMAGES: "give more images",
    Remedy.ITS_CLASSES: "give images of its classes and in its order",
    Remedy.SAME_CLASSES: "give images of the classes that it was made for",
    Remedy.MODEL_FILE: "check the path",
    Remedy.INSTALL: "install it: pip install {detail}",
    Remedy.IMPORTABLE: "check its name, and that it can be imported from here, or give the path of its file: file.py:callable",
    Remedy.RESUME: "continue it with resume=True, or delete it to start anew",
    Remedy.PORT: "choose another port",
    Remedy.STUDY: "say which to reproduce",
    Remedy.FORCE: "do it all the same with force=True",
    Remedy.SCAN: "give what trojancam.scan found, as scan= of trojancam.sift, or its triggers, as triggers= of a Guard",
    Remedy.WHOLE: "read whole images: leave out crop=, or load the network with a preprocessing whose region is whole",
}


LISTED = 12  # a sentence names no more outputs


class TrojanCamError(Exception):
    """A problem the user can fix: `problem` says what is wrong, `remedies` what helps, any one of them.

    Where what to do is the same for everybody, `problem` says it and there are no remedies. As a string it is one sentence
    for users of Python; another face asks for `told` with its own words.

    >>> error = TrojanCamError("net.onnx does not say how large its images are", Remedy.SIZE)
    >>> str(error)
    'net.onnx does not say how large its images are; say it with size=(height, width)'
    >>> error.told({Remedy.SIZE: "say it with --size"})
    'net.onnx does not say how large its images are; say it with --size'
    """

    def __init__(self, problem: str, *remedies: Remedy, detail: str = "") -> None:
        self.problem = as_text(problem)
        super().__init__(self.problem)
        self.remedies = remedies
        self.detail = detail

    def told(self, words: Mapping[Remedy, str]) -> str:
        """The problem and what to do about it, in one sentence, in these words for the remedies."""
        advice = ", or ".join(words[remedy].format(detail=self.detail) for remedy in self.remedies)
        return f"{self.problem}; {advice}" if advice else self.problem

    def __str__(self) -> str:
        return self.told(PYTHON)


class DataError(TrojanCamError):
    """Images, labels or their files are not what they should be."""


class ModelError(TrojanCamError):
    """A model, or its file, cannot be used as it is."""


class SeveralOutputsError(ModelError):
    """Several outputs of a network can be its logits: `outputs` are what they are called.

    >>> str(SeveralOutputsError(["features", "1"]))
    'several outputs of the network can be its logits (features, 1); say which with output='
    """

    def __init__(self, outputs: Iterable[str], *others: Remedy) -> None:
        self.outputs = tuple(outputs)
        listed = ", ".join(repr(name[:40])[1:-1] for name in self.outputs[:LISTED])
        more = ", ..." if len(self.outputs) > LISTED else ""
        super().__init__(f"several outputs of the network can be its logits ({listed}{more})", Remedy.OUTPUT, *others)


class UnknownNameError(TrojanCamError):
    """A class, layer, feature map, architecture or option that does not exist."""


class MissingNameError(UnknownNameError, KeyError):
    """A name that a mapping of results does not have: also a `KeyError`, as mappings raise it."""


class TrojanCamWarning(UserWarning):
    """What the user should know before trusting a result; the command line prints its sentence in one line."""


def unknown_feature_map(layer: str, index: object, count: int) -> UnknownNameError:
    """The error for a feature map that a layer of so many does not have.

    >>> str(unknown_feature_map("conv2d_9", 300, 300))
    "layer 'conv2d_9' has no feature map 300; known: 0 to 299"
    """
    return UnknownNameError(f"layer {layer!r} has no feature map {index}; known: 0 to {count - 1}")


def unknown_name(kind: str, name: object, known: Iterable[object]) -> UnknownNameError:
    """The error for a name that does not exist: it lists the known ones, a likely slip of the pen first.

    >>> str(unknown_name("layer", "conv2d_9", ["conv2d_8", "dense"]))
    "unknown layer 'conv2d_9' (did you mean 'conv2d_8'?); known: conv2d_8, dense"
    """
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UnknownNameError(f"unknown {kind} {str(name)!r}{hint}; known: {', '.join(names) or 'none'}")
