"""Sent models: files that a browser sends, opened by the safe readers; nothing that is sent names code or a file here."""

import re
from pathlib import Path

from trojancam.architectures import ARCHITECTURES
from trojancam.errors import TrojanCamError, unknown_name
from trojancam.explore.models import Model, Source
from trojancam.explore.refusals import told_to_page
from trojancam.explore.session import Session
from trojancam.network.input import Feeding, InputSpecification
from trojancam.network.network import Network
from trojancam.opening.images import fitted_to
from trojancam.opening.open import ModelFile, opened_with_output
from trojancam.opening.preprocessing import usual_ways

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".pt2", ".onnx", ".keras", ".h5")
# names alone: timm's schemes, such as hf-hub:, lead to files and other machines, and `module:callable` is code of this one
IN_LIBRARIES = re.compile(r"(timm|torchvision):[A-Za-z0-9_.]+")
TRIED = 500  # images on which it is tried how a network wants its pixels, while somebody waits


def open_sent(
    session: Session, path: Path, name: str, architecture: str = "", output: str = "", preprocessing: str = ""
) -> Model:
    """Look at the network in a file that was sent, which is kept at `path` and which people know by `name`.

    Raises:
        TrojanCamError: if it is refused, is of other classes than the data, or needs to be told more.
    """
    try:
        return _opened(session, path, name, architecture, output, preprocessing)
    except BaseException as error:
        path.unlink(missing_ok=True)
        session.forget_galleries()
        if isinstance(error, TrojanCamError):
            sentence = told_to_page(error)["error"].replace(str(path), name or "the file")  # nobody knows our own name
            raise type(error)(sentence) from None
        raise


def choices() -> dict[str, list[str]]:
    """The names that may be given for a file that is sent: architectures, and the usual ways to feed a network.

    >>> choices()["preprocessings"][:2]
    ['as-said', 'rgb-unit']
    """
    colour, grey = (usual_ways(InputSpecification(size=(32, 32), channels=channels)) for channels in ("rgb", "grey"))
    return {"architectures": list(ARCHITECTURES), "preprocessings": list(colour | grey)}


def suffix_of(name: str) -> str:
    """The suffix of a file's name if it is a model's, else none: all that is ever used of what a browser calls a file.

    >>> suffix_of("../../etc/Net.ONNX"), suffix_of("passwd")
    ('.onnx', '')
    """
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def _opened(session: Session, path: Path, name: str, architecture: str, output: str, preprocessing: str) -> Model:
    _check_architecture(architecture)
    usual = next((model.network.input.size for model in session.models.values()), (32, 32))
    file = ModelFile(path, architecture or None, output or None, usual_size=usual)
    network, found = opened_with_output(file, lambda network: session.images_for(network).take(TRIED))
    if preprocessing:
        network = _fed(network, preprocessing)
    network = fitted_to(network, session.images_for(network), TRIED)
    return session.add(network, Source(path, name, architecture or None, found, uploaded=True))


def _fed(network: Network, preprocessing: str) -> Network:
    """The network fed in a usual way; the name of anything else is unknown, so that none can be that of a file."""
    ways = usual_ways(network.input)
    if preprocessing not in ways:
        raise unknown_name("preprocessing", preprocessing, ways)
    return network.fed(ways[preprocessing], Feeding(f"{preprocessing}, as given"))


def _check_architecture(name: str) -> None:
    if name and name not in ARCHITECTURES and not IN_LIBRARIES.fullmatch(name):
        raise unknown_name("architecture", name, [*ARCHITECTURES, "timm:NAME", "torchvision:NAME"])
