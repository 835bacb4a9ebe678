"""Opening in the browser: a model file that somebody sends, by the safe readers; nothing they send names code or a file here."""

import re
from pathlib import Path

from trojancam.architectures import ARCHITECTURES
from trojancam.errors import TrojanCamError, unknown_name
from trojancam.explore.models import Model, Source
from trojancam.explore.session import Session
from trojancam.formats.kinds import open_model
from trojancam.network.input import InputSpecification
from trojancam.opening.open import network_of
from trojancam.opening.preprocessing import clear_winner, tried, usual_ways

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".pt2", ".onnx", ".keras", ".h5")
# names alone: timm's schemes, such as hf-hub:, lead to files and other machines, and `module:callable` is code of this one
IN_LIBRARIES = re.compile(r"(timm|torchvision):[A-Za-z0-9_.]+")
NAMES = f"{', '.join(ARCHITECTURES)}, timm:NAME or torchvision:NAME"
ON_THE_PAGE = (  # what sentences for the command line say, and what people on the page can do instead
    (r"(say which|name it) with --architecture\b.*", f"choose its architecture in the dialog: {NAMES}"),
    (r"(give more of them, or )?say how it is fed with --preprocessing", "choose how it is fed in the dialog"),
)
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
            raise type(error)(_for_the_page(str(error)).replace(str(path), name or "the file")) from None
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


def _for_the_page(sentence: str) -> str:
    """A refusal with the remedy that there is on the page.

    >>> _for_the_page("it is not clear; say how it is fed with --preprocessing")
    'it is not clear; choose how it is fed in the dialog'
    """
    for words, instead in ON_THE_PAGE:
        sentence = re.sub(words, instead, sentence, flags=re.DOTALL)
    return sentence


def _opened(session: Session, path: Path, name: str, architecture: str, output: str, preprocessing: str) -> Model:
    _check_architecture(architecture)
    usual = next((model.network.input.size for model in session.models.values()), (32, 32))
    opened = open_model(path, architecture or None, output or None, None if architecture else usual)
    specification = opened.input or opened.plain_input(opened.size or usual)
    if preprocessing:
        ways = usual_ways(specification)
        if preprocessing not in ways:
            raise unknown_name("preprocessing", preprocessing, ways)
        specification = ways[preprocessing]
    network = network_of(opened, specification)
    images = session.images_for(network)
    if opened.class_names is None:
        network = network.with_class_names(images.class_names)
    if opened.card is None and not preprocessing:
        best = clear_winner(tried(network, *images.take(TRIED)), len(network.class_names))
        network = network.fed(best.specification)
    return session.add(network, Source(path, name, architecture or None, output or None, uploaded=True))


def _check_architecture(name: str) -> None:
    if name and name not in ARCHITECTURES and not IN_LIBRARIES.fullmatch(name):
        raise unknown_name("architecture", name, [*ARCHITECTURES, "timm:NAME", "torchvision:NAME"])
