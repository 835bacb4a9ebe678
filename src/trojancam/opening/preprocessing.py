"""Preprocessing: how a network wants its pixels, found by trying the usual ways on images whose classes are known.

A network that is fed otherwise than it was trained still answers, only wrongly, and what is then found in it means nothing.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from pydantic import ValidationError
from scipy import special
from torch import Tensor

from trojancam.errors import DataError, ModelError, Remedy, unknown_name
from trojancam.network.input import InputSpecification, Region, refused
from trojancam.network.network import Network
from trojancam.showing import Brief

Three = tuple[float, float, float]
CERTAIN = 0.01  # the chance that a winner is ahead by luck alone, and that it is no better than guessing, stays below
ALIKE = 0.95  # of images: where two ways give these the same class, and neither is clearly worse, either will do
MOST = 0.5  # of images: where fewer are answered right, the labels may be in another order, and some classes kept their places
LEAST = 0.3  # of images: a network that is right less often is not told from one that knows other classes
RENUMBERED = 0.1  # of images: labels are in another order if other numbers of the classes make so many more right
NONE_RIGHT = (
    "none of the usual ways need be right: ask whoever trained the network for the mean and the deviation of its pixels, write "
    "them in a JSON file as mean and std"
)
TRIED = 2_000  # images, at most, that the usual ways are tried on: the right one may be ahead by little
BISECTIONS = 30

BYTE = 255.0
AS_SAID = "as-said"  # by the file, or by whoever loaded it
SCALINGS: dict[str, tuple[Three, Three]] = {  # mean and deviation of pixels in [0, 1]
    "unit": ((0.0,) * 3, (1.0,) * 3),  # [0, 1]
    "symmetric": ((0.5,) * 3, (0.5,) * 3),  # [-1, 1]
    "bytes": ((0.0,) * 3, (1 / BYTE,) * 3),  # 0 to 255
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "quarter": ((0.5,) * 3, (0.25,) * 3),  # [-2, 2]
    "cifar": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),  # the means of CIFAR-10
    "mnist": ((0.1307,) * 3, (0.3081,) * 3),
    "caffe": ((0.485, 0.456, 0.406), (1 / BYTE,) * 3),  # 0 to 255, less ImageNet's mean
}
FIELDS = ("mean", "std", "channels", "crop")  # of a file that says how a network is fed


@dataclass(frozen=True)
class Preprocessing(Brief):
    """A way to feed a network, and what it then answered to labelled images.

    `log_likelihoods` are those of the images' own classes, the logits scaled by the one factor under which they are largest
    on average (Guo et al., "On calibration of modern neural networks", 2017): they tell how well classes are told apart, and
    not how sure of itself the network is, which grows with the contrast of what it is fed.
    """

    name: str
    specification: InputSpecification
    answers: Int64[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    log_likelihoods: Float[Tensor, " n"]

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Which images were given their own class."""
        return self.answers == self.labels

    @property
    def accuracy(self) -> float:
        """The share of images that were given their own class."""
        return float(self.right.double().mean())

    @property
    def log_likelihood(self) -> float:
        """The mean over the images; 0 is the most there can be."""
        return float(self.log_likelihoods.mean())

    def agrees_with(self, other: "Preprocessing") -> float:
        """The share of images that both ways give the same class."""
        return float((self.answers == other.answers).double().mean())


def usual_ways(own: InputSpecification) -> dict[str, InputSpecification]:
    """The usual ways to feed a network, and its own first; `mean` and `std` are in the order of its channels."""
    ways = {AS_SAID: own}
    for order in ("grey",) if own.channels == "grey" else ("rgb", "bgr"):
        for name, (mean, std) in SCALINGS.items():
            turned = slice(None, None, -1 if order == "bgr" else 1)
            fields = {"mean": mean[turned], "std": std[turned], "channels": order}
            ways[f"{order}-{name}"] = own.model_copy(update=fields)
    return ways


def preprocessing_of(own: InputSpecification, said: str | Mapping[str, Any]) -> InputSpecification:
    """How a network is fed, said by a usual way's name, such as `rgb-symmetric`, by a JSON file, or by what such a file holds.

    The file holds an object with any of `mean`, `std` (a number, or one for each channel, of pixels in [0, 1]), `channels`
    (rgb, bgr or grey) and `crop` (a share of the sides, or what `InputSpecification` calls `region`: `roi` or `whole`). What
    it leaves out stays as it is in `own`.

    Raises:
        UnknownNameError: if there is no such way, nor such a file.
        DataError: if the file says anything else.
    """
    if isinstance(said, Mapping):
        return _of_fields(own, said, "the preprocessing")
    ways, path = usual_ways(own), Path(said)
    if said in ways:
        return ways[said]
    if path.suffix.lower() != ".json" and not path.is_file():
        raise unknown_name("preprocessing", said, [*ways, "or a JSON file"])
    return _from_file(own, path)


def _from_file(own: InputSpecification, path: Path) -> InputSpecification:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot read a preprocessing from {path} ({reason}); give a JSON object with {', '.join(FIELDS)}"
        ) from None
    if not isinstance(said, dict):
        raise DataError(f"{path} holds no JSON object; give one with {', '.join(FIELDS)}")
    return _of_fields(own, said, f"the preprocessing in {path}")


def _of_fields(own: InputSpecification, said: Mapping[str, Any], where: str) -> InputSpecification:
    for name in said:
        if name not in FIELDS:
            raise unknown_name(f"field of {where}", name, FIELDS)
    fields = {name: _three(value) if name in ("mean", "std") else value for name, value in said.items()}
    if fields.get("crop") in get_args(Region):
        fields["region"] = fields.pop("crop")
    try:
        return InputSpecification.model_validate({**own.model_dump(), **fields})
    except ValidationError as error:
        also = {"mean": ", or one for all", "std": ", or one for all", "crop": ", or roi or whole"}
        raise refused(error, said, where, also.get(str(error.errors()[0]["loc"][0]), "")) from None


def _three(value: Any) -> Any:
    """One number stands for all channels."""
    value = value.tolist() if isinstance(value, np.ndarray | Tensor) else value
    one = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    return [one] * 3 if isinstance(one, int | float) else value


def tried(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> list[Preprocessing]:
    """The network fed in all the usual ways, the most accurate first; ways that are the same are tried once.

    Raises:
        ModelError: if the images do not fit the network.
    """
    names = {specification: name for name, specification in usual_ways(network.input).items()}  # the last name of each
    found = []
    for specification, name in names.items():
        found.append(answers(network.fed(specification), images, labels, name))
    return sorted(found, key=lambda each: (-each.accuracy, -each.log_likelihood))


def answers(
    network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"], name: str = AS_SAID
) -> Preprocessing:
    """What the network answers to labelled images, fed as it is.

    Raises:
        ModelError: if the images do not fit the network.
    """
    labels = labels.cpu()
    logits = network(images).cpu().double()
    logits = logits.where(logits.isfinite(), 0.0)  # fed far too much, a network may overflow; then it tells nothing
    scored = _log_likelihoods(_best_factor(logits, labels) * logits, labels)
    return Preprocessing(name, network.input, logits.argmax(1), labels, scored)


def clear_winner(found: Sequence[Preprocessing], classes: int) -> Preprocessing:
    """The way under which the labels are most likely, if that is more than luck, and if it is right at all.

    Every other way must be clearly worse (by accuracy or by likelihood), or give all but one image in twenty the same class:
    then little hangs on the choice, and the most accurate of these is taken. The winner must be right (see `is_right`).

    Raises:
        ModelError: if none is clearly right.
    """
    best = max(found, key=lambda each: each.log_likelihood)
    listed = ", ".join(f"{each.name} {each.accuracy:.0%}" for each in found[:3])
    if not is_right(best, classes, len(found)):
        renumbered = renumbered_accuracy(best)
        other = renumbered > max(MOST, best.accuracy + RENUMBERED)
        order = f"; with its classes numbered otherwise it would be right on {renumbered:.0%}" if other else ""
        raise ModelError(
            f"no usual preprocessing makes the network right on most images, and more often than guessing ({listed}){order}",
            Remedy.ITS_CLASSES,
            Remedy.PREPROCESSING,
        )
    rivals = [other for other in found if other is best or not _clearly_worse(other, best)]
    if any(best.agrees_with(other) < ALIKE for other in rivals):
        unclear = f"which preprocessing the network wants is not clear from these {len(best.labels)} images ({listed})"
        if len(best.labels) < TRIED:
            raise ModelError(unclear, Remedy.MORE_IMAGES, Remedy.PREPROCESSING)
        raise ModelError(f"{unclear}, which are as many as are tried; {NONE_RIGHT}", Remedy.PREPROCESSING)
    return max(rivals, key=lambda each: (each.accuracy, each.log_likelihood))


def better_way(network: Network, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]) -> Preprocessing | None:
    """A usual way to feed a network under which it is clearly better on labelled images than as it is fed; None if none is.

    It must be right (see `is_right`); the network as it is must be clearly worse, and answer otherwise to more than one image
    in twenty.

    Raises:
        ModelError: if the images do not fit the network.
    """
    found = tried(network, images, labels)
    own = next(each for each in found if each.specification == network.input)
    best = max(found, key=lambda each: each.log_likelihood)
    right = is_right(best, len(network.class_names), len(found))
    return best if right and best.agrees_with(own) < ALIKE and _clearly_worse(own, best) else None


def is_right(best: Preprocessing, classes: int, ways: int) -> bool:
    """Whether it is right on most images, or on three of ten at least, and more often than answers that know nothing of them.

    Of a network that is right on fewer than most images, the labels must be in the network's order: other numbers of the
    classes may make no more than one more answer in ten right.
    Those are right by chance as often as shares of labels and of answers let them be, which is more than `1 / classes` where
    some classes are frequent in both; the best of several ways has had as many chances.
    """
    width = max(classes, int(best.labels.max()) + 1)
    shares = [torch.bincount(these, minlength=width).double() / len(these) for these in (best.labels, best.answers)]
    chance = min(1.0, max(1 / classes, float(shares[0] @ shares[1])))
    right = int(best.right.sum())
    if best.accuracy < LEAST or _at_least(right, len(best.labels), chance) >= CERTAIN / ways:
        return False
    return best.accuracy > MOST or renumbered_accuracy(best) - best.accuracy < RENUMBERED


def renumbered_accuracy(way: Preprocessing) -> float:
    """How accurate the answers would be if the labels' classes had the best other numbers: a one-to-one assignment.

    It is found on every other image of each class, and counted on the others: on the images that it was found on, any answers
    would be right more often with it.

    >>> labels, none = torch.tensor([0, 0, 1, 1]), torch.zeros(4)
    >>> renumbered_accuracy(Preprocessing("turned", InputSpecification(), 1 - labels, labels, none))
    1.0
    """
    from scipy.optimize import linear_sum_assignment  # it takes as long to import as all of this package

    occurring, places = torch.cat([way.labels, way.answers]).unique(return_inverse=True)
    labels, answers = places.split(len(way.labels))
    order, width, right = labels.argsort(stable=True), len(occurring), 0
    for found_on, counted_on in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        pairs = labels[found_on] * width + answers[found_on]
        counts = torch.bincount(pairs, minlength=width * width).view(width, width).numpy()
        _, other = linear_sum_assignment(counts, maximize=True)
        right += int((torch.from_numpy(other)[labels[counted_on]] == answers[counted_on]).sum())
    return right / len(labels)


def _clearly_worse(other: Preprocessing, best: Preprocessing) -> bool:
    """Whether a way is behind by more than luck in accuracy or in likelihood, and is not clearly ahead in accuracy.

    Accuracy: the sign test on images on which only one of the two is right (McNemar 1947, exact). Likelihood: Student's test
    on the images' differences. Each has half of the chance to err.
    """
    if more_often_right(other, best, CERTAIN / 2):
        return False
    if more_often_right(best, other, CERTAIN / 2):
        return True
    return _above_zero(best.log_likelihoods - other.log_likelihoods) < CERTAIN / 2


def more_often_right(one: Preprocessing, other: Preprocessing, certain: float = CERTAIN) -> bool:
    """Whether one is right more often than the other by more than luck: the sign test, of which `certain` is the level."""
    ahead, behind = int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
    return ahead > behind and _at_least(ahead, ahead + behind, 0.5) < certain


def _above_zero(differences: Float[Tensor, " n"]) -> float:
    """How likely a mean so far above zero, or farther, is by chance."""
    count, mean = len(differences), float(differences.mean())
    spread = float(differences.std()) / math.sqrt(count) if count > 1 else 0.0
    return float(special.stdtr(count - 1, -mean / spread)) if spread > 0 else 1.0


def _best_factor(logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]) -> float:
    """The positive factor on the logits under which the labels are most likely; the derivative falls, so it is bisected.

    As if one answer more had been wrong, which counts little: where all are right, any factor could be doubled.
    """
    largest = float((logits.amax(1) - logits.mean(1)).mean())
    if not largest > 0:
        return 1.0
    own = logits.gather(1, labels[:, None])[:, 0]
    doubt = 1 / (len(labels) + 2)  # Platt (1999)
    wanted = float(((1 - doubt) * own + doubt * logits.mean(1)).mean())
    low, high = math.log(1e-4 / largest), math.log(1e4 / largest)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        expected = float(((math.exp(middle) * logits).softmax(1) * logits).sum(1).mean())
        low, high = (middle, high) if expected < wanted else (low, middle)
    return math.exp((low + high) / 2)


def _log_likelihoods(logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    return logits.log_softmax(1).gather(1, labels[:, None])[:, 0]


def _at_least(successes: int, trials: int, chance: float) -> float:
    """How likely so many successes, or more, are by chance."""
    return float(special.bdtrc(successes - 1, trials, chance))
