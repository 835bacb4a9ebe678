"""Guard: a network in use that says of every image its class, how suspicious it is, and where the reason lies."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.defences.sieve import DEFAULT_METHODS, FALSE_ALARMS, learned
from trojancam.network import given
from trojancam.network.batches import BUDGET
from trojancam.network.network import Network
from trojancam.progress import Progress
from trojancam.showing import Brief


@dataclass(frozen=True)
class Guarded(Brief):
    """What a guard says of a batch: classes and logits, p-values among clean images, suspicion, and places if any is known.

    The p-value of a clean image is as likely to be any number: of clean images a share p has one of p or less.
    """

    classes: Int64[Tensor, " n"]
    logits: Float[Tensor, "n classes"]
    p_values: Float[Tensor, " n"]
    suspicious: Bool[Tensor, " n"]
    places: Float[Tensor, "n h w"] | None


class Guard:
    """A network that is called with images, and answers class, suspicion and place.

    It learns once, from clean images of the kind that it will meet. An image costs about as much as a forward and a backward
    run, unless other defences are asked for; nothing is kept of it. A guard may be called from several threads.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> guard = Guard(network, torch.rand(40, 3, 8, 8), false_alarms=0.1)
    >>> guard(torch.rand(2, 3, 8, 8)).places.shape
    torch.Size([2, 8, 8])
    """

    def __init__(
        self,
        network: Network,
        clean_images: given.GivenImages,
        methods: given.GivenNames = DEFAULT_METHODS,
        *,
        triggers: Sequence[Trigger] = (),
        false_alarms: float = FALSE_ALARMS,
        seed: int = 0,
        memory_budget: int = BUDGET,
        progress: Progress | None = None,
    ) -> None:
        """Learn from clean images; see `learned` for what is refused, and for `triggers`."""
        given.check_network(network)
        self.class_names = network.class_names
        self._sieve = learned(
            network,
            clean_images,
            methods,
            triggers=triggers,
            false_alarms=false_alarms,
            seed=seed,
            memory_budget=memory_budget,
            progress=progress,
        )

    def __call__(self, images: given.GivenImages) -> Guarded:
        """What the network and its guard say of images.

        Raises:
            DataError: if the network cannot take the images.
        """
        found = self._sieve(images)
        first = next(iter(found.by_method.values()))
        return Guarded(found.classes, found.logits, first.p_values, first.suspicious, found.places)

    def __repr__(self) -> str:
        return f"Guard({', '.join(self._sieve.tests)}, {self._sieve.false_alarms:g} false alarms)"
