"""Sifting images: which of many bear a trigger, what the network makes of the suspicious ones, before and after cleaning."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.data.image_files import read_portion
from trojancam.defences.cleaning import cleaned
from trojancam.defences.sieve import DEFAULT_METHODS, DEFENCES, FALSE_ALARMS, Sieve, Sifted, known_methods, learned
from trojancam.detection.findings import ScanReport
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, shown, stages
from trojancam.showing import Brief, listed
from trojancam.tasks.explain import find_images
from trojancam.tasks.scan import as_report, suspected
from trojancam.text import as_text

PORTION = 256  # files that are read together
CASES = 24  # suspicious images, at most, that are kept, with what makes them so


@dataclass(frozen=True)
class MethodResult(Brief):
    """What one defence says of all images: scores and p-values, and the threshold that clean images set."""

    title: str
    scores: Float[Tensor, " n"]
    p_values: Float[Tensor, " n"]
    threshold: float

    @property
    def suspicious(self) -> Bool[Tensor, " n"]:
        """Which images have a score above the threshold."""
        return self.scores.double() > self.threshold


@dataclass(frozen=True)
class SuspiciousImage(Brief):
    """A suspicious image by its number, where the reason lies (None: no defence knows), and the image cleaned of it.

    `mask` is what was filled in, empty where nothing that was tried changes the class; `after` is the class then.
    """

    number: int
    image: Float[Tensor, "3 h w"]
    place: Float[Tensor, "h w"] | None
    mask: Bool[Tensor, "h w"]
    cleaned: Float[Tensor, "3 h w"]
    before: int
    after: int


@dataclass(frozen=True)
class SiftResult:
    """Images sifted: their names and predicted classes, and what each defence says; the first one decides.

    `cases` are the suspicious ones, the first few, to look at; `left_out` the files that could not be read, as lines.
    """

    network: Network
    names: tuple[str, ...]
    classes: Int64[Tensor, " n"]
    methods: Mapping[str, MethodResult]
    cases: tuple[SuspiciousImage, ...]
    clean_images: int
    false_alarms: float
    left_out: tuple[str, ...] = field(default=())

    @property
    def suspicious(self) -> Bool[Tensor, " n"]:
        """Which images are suspicious to the first defence."""
        return next(iter(self.methods.values())).suspicious

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.names)

    def __repr__(self) -> str:
        found = self.suspicious.nonzero()[:, 0].tolist()
        back = sum(case.after != case.before for case in self.cases)
        words = [f"{name} {int(each.suspicious.sum())}" for name, each in self.methods.items()]
        return "\n".join(
            [
                f"SiftResult: {len(found)} of {len(self)} images suspicious to {self.network.name}",
                f"  first: {listed((self.names[number] for number in found), len(found)) or 'none'}",
                f"  by method: {', '.join(words)}",
                f"  {self.false_alarms:g} of clean images would be, by {self.clean_images} clean images",
                f"  cleaned: {back} of the first {len(self.cases)} get another class; {len(self.left_out)} files left out",
            ]
        )


def sift(
    network: Network,
    images: given.GivenImages | str | Path | Iterable[str | Path],
    clean: given.GivenImages,
    methods: given.GivenNames = DEFAULT_METHODS,
    *,
    scan: ScanReport | None = None,
    false_alarms: float = FALSE_ALARMS,
    seed: int = 0,
    progress: Progress | None = None,
) -> SiftResult:
    """Which of some images bear a trigger, by defences (`DEFENCES`) that learn from clean images of the same kind.

    Images are tensors and the like (see `record`), or image files and folders of them. Half of the clean images is what
    defences learn from; the other half sets the threshold, at which a share `false_alarms` of clean images would be
    suspicious. The first method decides, the others are second opinions. A suspicious image is cleaned where a method
    knows the place. `scan` is what `trojancam.scan` found in this network: `input-filter` needs the triggers that it recovered.

    Raises:
        UnknownNameError: if there is no such method.
        DataError: if there are no images, too few clean ones for this rate of false alarms, or some that the network cannot
            take.
        ModelError: if a method cannot work with the network.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> result = sift(network, torch.rand(5, 3, 8, 8), torch.rand(40, 3, 8, 8), false_alarms=0.1)
    >>> len(result), len(str(result).splitlines())
    (5, 5)
    """
    learning, looking = stages(shown(progress), [1000, 1000])
    files = _as_files(images)
    if files is not None and not files:
        raise DataError("there are no images to sift; name at least one file")
    source = _Tensors(network, images) if files is None else _Files(network, find_images(files))
    looked_for = any(DEFENCES[name].needs_triggers for name in known_methods(methods))
    triggers = recovered(scan) if scan is not None and looked_for else ()
    sieve = learned(network, clean, methods, triggers=triggers, false_alarms=false_alarms, seed=seed, progress=learning)
    return _sifted(network, source, sieve, len(given.images(network, clean)), looking)


def recovered(scan: ScanReport) -> tuple[Trigger, ...]:
    """The triggers of the findings that a scan calls a backdoor, or else of the inconclusive ones, the strongest first.

    Raises:
        DataError: if it is no scan, or found no trigger that could be removed.
    """
    found = [each.trigger for each in suspected(as_report(scan)) if each.trigger is not None]
    if not found:
        raise DataError(
            "the scan recovered no trigger of a backdoor, so there is none to look for; choose another defence, such as "
            "contributions"
        )
    return tuple(found)


class _Tensors:
    """Images that are there already."""

    def __init__(self, network: Network, images: object) -> None:
        self._images = given.images(network, images)
        self.total, self.left_out = len(self._images), tuple[str, ...]()

    def portions(self) -> Iterator[tuple[list[str], Tensor]]:
        """Names and images, some at a time."""
        for start in range(0, self.total, PORTION):
            part = self._images[start : start + PORTION]
            yield [f"image {start + number + 1}" for number in range(len(part))], part


class _Files:
    """Image files, read as they are needed; those that cannot be read are left out, and listed."""

    def __init__(self, network: Network, files: Sequence[Path]) -> None:
        self._files, self._shown = files, network.input
        self.total, self.left_out = len(files), tuple[str, ...]()

    def portions(self) -> Iterator[tuple[list[str], Tensor]]:
        """Names and images, some at a time."""
        any_read = False
        for start in range(0, self.total, PORTION):
            images, good, broken = read_portion(
                self._files[start : start + PORTION], self._shown.size, self._shown.crop
            )
            self.left_out += tuple(map(as_text, broken))
            any_read |= bool(good)
            if good:
                yield [as_text(file) for file in good], images
        if not any_read:
            raise DataError(f"none of the {self.total} images can be read; the first is {self.left_out[0]}")


def _sifted(
    network: Network, source: _Tensors | _Files, sieve: Sieve, clean_images: int, progress: Progress
) -> SiftResult:
    names: list[str] = []
    found: list[Sifted] = []
    cases: list[SuspiciousImage] = []
    for portion, images in source.portions():
        sifted = sieve(images, first=len(names))
        cases += _cases(network, given.images(network, images), sifted, len(names), CASES - len(cases))
        found.append(_without_places(sifted))
        names += portion
        progress(len(names) + len(source.left_out), source.total, f"{len(names)} images sifted")
    methods = {
        name: MethodResult(
            DEFENCES[name].title,
            torch.cat([each.by_method[name].scores for each in found]),
            torch.cat([each.by_method[name].p_values for each in found]),
            sieve.threshold(name),
        )
        for name in sieve.tests
    }
    return SiftResult(
        network,
        tuple(names),
        torch.cat([each.classes for each in found]),
        methods,
        tuple(cases),
        clean_images,
        sieve.false_alarms,
        source.left_out,
    )


def _without_places(sifted: Sifted) -> Sifted:
    """What is kept of all images is small."""
    return Sifted(sifted.logits, {name: replace(each, places=None) for name, each in sifted.by_method.items()})


def _cases(
    network: Network, images: Float[Tensor, "n 3 h w"], sifted: Sifted, first: int, most: int
) -> Iterator[SuspiciousImage]:
    """The first suspicious images of a portion, cleaned."""
    numbers = sifted.suspicious.nonzero()[:most, 0]
    if not len(numbers):
        return
    places = None if sifted.places is None else sifted.places[numbers]
    known = torch.zeros(len(numbers), *images.shape[2:]) if places is None else places
    done = cleaned(network, images[numbers], known)
    for row, number in enumerate(numbers.tolist()):
        yield SuspiciousImage(
            first + number,
            images[number].cpu(),
            None if places is None else places[row],
            done.masks[row],
            done.images[row],
            int(done.before[row]),
            int(done.after[row]),
        )


def _as_files(images: object) -> list[Path] | None:
    """Files, where these are names of some; None for images themselves."""
    if isinstance(images, str | Path):
        return [Path(images)]
    if isinstance(images, Iterable) and not hasattr(images, "shape") and not hasattr(images, "images"):
        each = list(images)
        if all(isinstance(one, str | Path) for one in each):
            return [Path(one) for one in each]
    return None
