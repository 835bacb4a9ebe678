"""From a model file, and what is said of it beside, to a network that is fed as it wants to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trojancam.errors import DataError, ModelError, Remedy, SeveralOutputsError
from trojancam.files import as_path
from trojancam.formats.kinds import open_model
from trojancam.formats.opened import OpenedModel
from trojancam.formats.weights.architecture import Architecture
from trojancam.network import given, given_images
from trojancam.network.classes import names_of_classes
from trojancam.network.devices import DeviceLike, device_named
from trojancam.network.input import GIVEN, UNKNOWN, Feeding, InputSpecification, Region
from trojancam.network.network import Network
from trojancam.network.outputs import Output
from trojancam.opening.feeding import with_feeding_found
from trojancam.opening.output_choice import ImagesFor, LabelledImages, output_found
from trojancam.opening.preprocessing import preprocessing_of
from trojancam.showing import Brief

OF_A_MODULE = (
    "a module becomes a network with Network.from_module(module, (height, width)), and a network is open already"
)
Size = int | tuple[int, int]
Said = str | Path | InputSpecification | Mapping[str, Any]
"""How a network is fed: by a usual way's name, in a JSON file, by what such a file holds, or in full."""


@dataclass(frozen=True)
class ModelFile(Brief):
    """A model file, and what is said of it beside.

    `architecture` builds the network of a file of weights alone: a registered name, `module:callable` or `file.py:callable` of
    your own code, `timm:NAME`, `torchvision:NAME`, a callable or a module. `key` says which dictionary of a checkpoint holds the
    weights. `output` chooses among several, by name or number.
    `preprocessing` says how the network is fed: by a usual way's name, such as `rgb-symmetric`, in a JSON file, by what such a
    file holds, `{"mean": (0.5, 0.5, 0.5), "std": 0.25}`, or as an `InputSpecification`. `region` says whether it sees whole
    images or what lies in the data set's regions. `size` is that of its images, (height, width) or the side of a square, where
    the file leaves it open; `usual_size` is taken where nobody says. `class_names`, or a text file with one a line, take the
    place of the file's. `device` is where the network computes: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`, the accelerator of
    this machine.
    """

    path: Path
    architecture: Architecture | None = None
    output: Output = None
    preprocessing: Said | None = None
    size: Size | None = None
    class_names: Sequence[str] | Path | None = None
    usual_size: tuple[int, int] | None = None
    device: DeviceLike = "cpu"
    key: str | None = None
    region: Region | None = None


def load(
    path: str | Path,
    images: given.GivenImages | None = None,
    labels: given.GivenLabels | None = None,
    *,
    architecture: Architecture | None = None,
    key: str | None = None,
    output: Output = None,
    preprocessing: Said | None = None,
    size: Size | None = None,
    class_names: Sequence[str] | Path | None = None,
    device: DeviceLike = "cpu",
) -> Network:
    """The network in a model file: safetensors, PyTorch weights, an exported program, ONNX or Keras. Nothing in it is run.

    `images` with their `labels`, a few dozen or more, both as `scan` takes them, tell how the network wants its pixels where
    nobody vouches for that: the usual ways are tried, as the commands do with `--data`. They also tell which of several
    outputs gives the logits, where neither shapes nor names do. The other options are those of
    `ModelFile`. Without any of them the network is fed as its file says, else pixels in [0, 1]; `network.feeding` says who
    vouches for that.

    Raises:
        ModelError: if the file is missing, damaged, hostile or of no known kind, its images' size is not known, or no usual
            way to feed it, or none of its outputs, is clearly right on the images; or if this machine does not have the device.
        DataError: if there are images without labels, or some that the network cannot take; if a file is not named by a path.
        UnknownNameError: if there is no such architecture, key, output, preprocessing or device.
        SeveralOutputsError: if several outputs can be the logits, and there are no images.
    """
    if (images is None) != (labels is None):
        raise DataError("images tell how the network is fed only with their labels; give both, or neither")
    usual = None if images is None else given_images.size_of(images)
    place = as_path(path, "a model file", OF_A_MODULE)
    file = ModelFile(place, architecture, output, preprocessing, size, class_names, usual, device, key)
    if images is None or labels is None:
        return opened(file)

    def labelled(network: Network) -> LabelledImages:
        shown = given.images(network, images)
        return shown, given.labels(network, labels, len(shown))

    network = opened(file, labelled)
    return with_feeding_found(network, *labelled(network))


def opened(file: ModelFile, labelled: ImagesFor | None = None) -> Network:
    """The network in a model file, fed as is said beside it, else as the file says, else pixels in [0, 1].

    `labelled` gives labelled images that fit a network, which tell what shapes and names of its outputs do not.

    Raises:
        TrojanCamError: if the file cannot be opened so.
    """
    return opened_with_output(file, labelled)[0]


def opened_with_output(file: ModelFile, labelled: ImagesFor | None = None) -> tuple[Network, str | None]:
    """As `opened`, and the output that was taken, where it had to be found.

    Raises:
        TrojanCamError: if the file cannot be opened so.
    """
    try:
        return _opened(file), None if file.output is None else str(file.output)
    except SeveralOutputsError as several:
        name, how = output_found(several, lambda name: _opened(replace(file, output=name)), labelled)
        return _opened(replace(file, output=name), (f"why {name[:80]!r}: {how}",)), name


def _opened(file: ModelFile, notes: tuple[str, ...] = ()) -> Network:
    device = device_named(file.device)  # refused before anything is read
    size = _size(file)
    module = open_model(file.path, file.architecture, file.output, size, file.key)
    if file.usual_size and size is None and module.size is None:
        module = open_model(
            file.path, file.architecture, file.output, file.usual_size, file.key
        )  # what it does may depend on it
    specification = _specification(file, module, size)
    if file.region is not None:
        specification = specification.model_copy(update={"region": file.region})
    return Network.from_module(
        module.module,
        output=module.output,
        specification=specification,
        class_names=names_said(file.class_names) or module.class_names,
        name=module.name,
        card=module.card,
        notes=(*module.notes, *notes),
        feeding=_feeding(file, module),
    ).to(device)


def _feeding(file: ModelFile, module: OpenedModel) -> Feeding:
    if isinstance(file.preprocessing, InputSpecification | Mapping):
        return GIVEN
    if file.preprocessing is not None:
        return Feeding(f"{file.preprocessing}, as given")
    if module.feeding is not None:
        return module.feeding
    if module.card is not None:
        return Feeding("as its model card says")
    return UNKNOWN if module.input is None else Feeding("as its file or architecture says", vouched=False)


def _size(file: ModelFile) -> tuple[int, int] | None:
    """What is said of the size beside the file."""
    if isinstance(file.preprocessing, InputSpecification):
        return file.preprocessing.size
    return (file.size, file.size) if isinstance(file.size, int) else file.size


def _specification(file: ModelFile, module: OpenedModel, size: tuple[int, int] | None) -> InputSpecification:
    """How the network is fed: as is said, else as its file says, else plainly; at the size that is said where that is open."""
    own = module.size
    if size is not None and own is not None and own != size and file.architecture is None:
        raise ModelError(
            f"{file.path} takes images of {own[0]}x{own[1]} pixels, not {size[0]}x{size[1]}", Remedy.NO_SIZE
        )
    size = size or own or file.usual_size
    if size is None:
        raise ModelError(f"{file.path} does not say of what size its images are", Remedy.SIZE)
    usual = module.input.model_copy(update={"size": size}) if module.input else module.plain_input(size)
    if file.preprocessing is None:
        return usual
    said = file.preprocessing
    if isinstance(said, InputSpecification):
        specification = said
    else:
        specification = preprocessing_of(usual, said if isinstance(said, Mapping) else str(said))
    _check_channels(file, module, specification)
    return specification


def _check_channels(file: ModelFile, module: OpenedModel, specification: InputSpecification) -> None:
    """Files that hold a network say how many channels it takes; weights alone do not."""
    if file.architecture is None and specification.number_of_channels != module.channels:
        raise ModelError(
            f"{file.path} takes {module.channels} channel{'s' * (module.channels != 1)}, but the preprocessing is for "
            f"{specification.channels}, which is {specification.number_of_channels}; choose one for as many channels"
        )


def names_said(said: Sequence[str] | Path | None) -> tuple[str, ...] | None:
    """Class names; of a text file those that it holds, one a line. Empty lines at its end do not count.

    Raises:
        DataError: if the file cannot be read, or they are no names.

    >>> names_said(["stop", "yield"])
    ('stop', 'yield')
    """
    if said is None:
        return None
    if not isinstance(said, str | Path):
        return names_of_classes(said)
    try:
        return tuple(line.strip() for line in Path(said).read_text(encoding="utf-8-sig").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(
            f"cannot read class names from {said} ({reason}); give a text file with one name a line"
        ) from None
