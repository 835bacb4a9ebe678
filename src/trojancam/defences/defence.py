"""Defence: the one contract of all ways to tell images that bear a trigger from clean ones.

A defence learns what it needs from clean images, once, and gives a test. The test gives each image of a batch a score: the
higher, the more suspicious. What a score means is decided elsewhere, on clean images that the defence did not learn from
(`calibration`). A defence sees a network without its model card and plain copies of images, and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.errors import TrojanCamError
from trojancam.network.batches import BUDGET, parts
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

Images = Float[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class Scores(Brief):
    """What a test says of a batch: a score for each image, and where it saw the reason, if it knows.

    `places` are not negative; they are at the size of the images, and only the order of their pixels counts.
    """

    values: Float[Tensor, " n"]
    places: Float[Tensor, "n h w"] | None = None


@dataclass(frozen=True)
class Seen(Brief):
    """A batch of images as a network sees them. Its one recording serves all the tests that need one.

    `first` is the place of its first image among all those looked at: random draws hang on it, not on the batches.
    """

    network: Network
    images: Images
    first: int = 0
    seed: int = 0
    memory_budget: int = BUDGET
    recorded: bool = False

    @cached_property
    def recording(self) -> Recording:
        """Every layer, and the gradients of the predicted class's logit."""
        return record(self.network, self.images, memory_budget=self.memory_budget)

    @cached_property
    def logits(self) -> Float[Tensor, "n classes"]:
        """The logits, on the processor."""
        return (self.recording.logits if self.recorded else answers(self.network, self.images)).cpu()

    @property
    def classes(self) -> Int64[Tensor, " n"]:
        """The class predicted for each image."""
        return self.logits.argmax(1)


@dataclass(frozen=True)
class Reference(Brief):
    """The clean images that a defence may learn from, and the network without its card.

    `triggers` are those that a scan recovered from the network, where there was one: never the true ones.
    """

    network: Network
    images: Images
    seed: int = 0
    memory_budget: int = BUDGET
    progress: Progress = silent
    triggers: tuple[Trigger, ...] = ()

    def seen(self, recorded: bool = False) -> Iterator[Seen]:
        """The clean images, a batch at a time."""
        rows = self.network.rows(self.memory_budget, gradients=recorded)
        for part in parts(len(self.images), rows):
            yield Seen(self.network, self.images[part], part.start, self.seed, self.memory_budget, recorded)
            self.progress(part.stop, len(self.images), "learning from clean images")

    @cached_property
    def logits(self) -> Float[Tensor, "n classes"]:
        """The logits of the clean images, on the processor."""
        return torch.cat([seen.logits for seen in self.seen()])


Test = Callable[[Seen], Scores]


@dataclass(frozen=True)
class Defence(Brief):
    """A way to tell images with a trigger: its title and source, and what it learns from clean images, which is a test.

    `records`: the test looks at the recording of the batch, which is then made once for all. `shows_place`: it says where.
    `needs_triggers`: it looks for triggers that a scan recovered.
    """

    title: str
    source: str
    learn: Callable[[Reference], Test]
    records: bool = False
    shows_place: bool = False
    needs_triggers: bool = False


def as_defence(
    name: str, given: Defence | Callable[[Reference], Test], title: str = "", source: str = "", records: bool = True
) -> Defence:
    """The defence that a package or a script registers: as it is, or made of a function that learns from a `Reference`.

    Raises:
        TrojanCamError: if it is neither.
    """
    if isinstance(given, Defence):
        return given
    if not callable(given):
        raise TrojanCamError(
            f"the defence {name!r} must be a Defence, or a function of a Reference that returns a test, but is {given!r}"
        )
    return Defence(title or name, source, given, records)


def answers(network: Network, images: Images) -> Float[Tensor, "n classes"]:
    """The logits of images that are known to be fit for the network, where it computes; without gradients."""
    with torch.no_grad():
        return network.forward_with(network.inputs(images), ())[0]
