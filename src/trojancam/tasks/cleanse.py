"""Cleansing training data: which files of class folders are poisoned, and a copy of the folders without them."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from trojancam.data.image_set import ImageSet, as_floats
from trojancam.defences.cleansing import CLEANSERS, Left, cleansed
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.opening.images import check_classes
from trojancam.progress import Progress
from trojancam.text import as_text, with_article


@dataclass(frozen=True)
class CleanseResult:
    """What each method says of the images of a training set; the first one decides. Names are `class/file`."""

    images: ImageSet
    methods: Mapping[str, Left]
    share: float

    @property
    def names(self) -> tuple[str, ...]:
        """The files, below the folder that was read."""
        assert self.images.names is not None
        return self.images.names

    @property
    def suspicious(self) -> Bool[Tensor, " n"]:
        """Which images the first method would leave out."""
        return next(iter(self.methods.values())).suspicious

    def of_class(self, label: int) -> int:
        """How many images of a class are suspicious."""
        return int((self.suspicious & (self.images.labels == label)).sum())

    def __repr__(self) -> str:
        classes = [self.of_class(label) for label in range(len(self.images.class_names))]
        most = max(range(len(classes)), key=classes.__getitem__)
        words = [f"{name} {int(each.suspicious.sum())}" for name, each in self.methods.items()]
        return "\n".join(
            [
                f"CleanseResult: {sum(classes)} of {len(self.names)} images suspicious",
                f"  by method: {', '.join(words)}",
                f"  most in class {self.images.class_names[most]!r}: {classes[most]} of "
                f"{int((self.images.labels == most).sum())}",
                f"  if {self.share:g} of the images are poisoned; {CLEANSERS[next(iter(self.methods))].title} decides",
                f"  {len(self.images.skipped)} files could not be read",
            ]
        )


def cleanse(
    network: Network,
    images: ImageSet,
    methods: given.GivenNames = ("activation-clustering",),
    *,
    share: float = 0.05,
    clean: given.GivenImages | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CleanseResult:
    """Which images of a training set are poisoned, by a network that was trained on it (see `CLEANSERS`).

    Raises:
        TrojanCamError: as `trojancam.defences.cleansed`, and if the set does not name its files or is of other classes.
    """
    given.check_network(network)
    if not isinstance(images, ImageSet):
        raise DataError(
            f"training images are a set that names its files, not {with_article(type(images).__name__)}; read the folders of "
            "their classes, such as trojancam.data.load_dataset(path).train, or ask trojancam.defences.cleansed"
        )
    if images.names is None:
        raise DataError("these images are no files with names, so that none can be left out; give class folders")
    check_classes(network, images)
    found = cleansed(
        network,
        as_floats(images.images),
        images.labels,
        methods,
        share=share,
        clean=clean,
        seed=seed,
        progress=progress,
    )
    return CleanseResult(images, found, share)


def _files(root: Path) -> Iterator[Path]:
    """All files below a folder, also behind links."""
    for place, _, names in os.walk(root, followlinks=True):
        yield from (Path(place, name) for name in names)


def copy_without(root: Path, result: CleanseResult, out: Path) -> int:
    """Copy the class folders into a new folder, whole or not at all, without what is suspicious; how many files that are.

    Raises:
        DataError: if there is such a folder already, or it cannot be written.
    """
    if out.exists():
        raise DataError(f"{out} is there already, and nothing is mixed with a cleaned copy; name a new folder")
    partial = out.with_name(f".{out.name}-partial")
    kept = [name for name, left in zip(result.names, result.suspicious.tolist(), strict=True) if not left]
    try:
        shutil.rmtree(partial, ignore_errors=True)
        files = {as_text(file.relative_to(root).as_posix()): file for file in _files(root)}
        for name in kept:
            own = files[name].relative_to(root)
            (partial / own).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / own, partial / own)
        partial.rename(out)
    except OSError as error:
        raise DataError(
            f"cannot write {out} ({error.strerror or error}); free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(kept)
