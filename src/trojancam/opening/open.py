"""From a model file to a network, fed as its file says."""

from collections.abc import Sequence
from pathlib import Path

from trojancam.errors import ModelError
from trojancam.formats.kinds import open_model
from trojancam.formats.opened import OpenedModel
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.network.outputs import Output


def load(
    path: str | Path,
    architecture: str | None = None,
    *,
    output: Output = None,
    specification: InputSpecification | None = None,
    class_names: Sequence[str] | None = None,
) -> Network:
    """The network in a model file: safetensors, PyTorch weights, an exported program, ONNX or Keras. Nothing in it is run.

    `architecture` builds the network for a file of weights alone: a registered name, `module:callable` of your own code,
    `timm:NAME` or `torchvision:NAME`. `output` chooses among several, by name or number. `specification` is how the network
    is fed; without it, as the file says, else pixels in [0, 1] of the size that the file says. `class_names` take the place
    of the file's.

    Raises:
        ModelError: if the file is missing, damaged, hostile or of no known kind, or its images' size is not known.
        UnknownNameError: if there is no such architecture or output.
    """
    opened = open_model(path, architecture, output, specification.size if specification else None)
    specification = specification or opened.input or _plain(Path(path), opened)
    return network_of(opened, specification, class_names)


def network_of(
    opened: OpenedModel, specification: InputSpecification, class_names: Sequence[str] | None = None
) -> Network:
    """The network of an opened model file, fed so; `class_names` take the place of the file's.

    Raises:
        ModelError: if its module is no network.
        UnknownNameError: if it has no such output.
    """
    return Network.from_module(
        opened.module,
        output=opened.output,
        specification=specification,
        class_names=class_names or opened.class_names,
        name=opened.name,
        card=opened.card,
        notes=opened.notes,
    )


def _plain(path: Path, opened: OpenedModel) -> InputSpecification:
    if opened.size is None:
        raise ModelError(f"{path} does not say of what size its images are; give their height and width")
    return opened.plain_input(opened.size)
