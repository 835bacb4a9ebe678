"""OpenedModel: what a reader makes of a model file, whatever format it came in."""

from dataclasses import dataclass

from torch import nn

from trojancam.network.card import ModelCard
from trojancam.network.input import Feeding, InputSpecification
from trojancam.network.outputs import Output


@dataclass(frozen=True)
class OpenedModel:
    """A module in evaluation mode, and what its file tells about it.

    The module maps `n channels h w` (fed as its author's framework feeds it, channels first) to `n classes`; `size` is the
    (height, width) that it takes, None where the file does not say; `input` is how pixels become that, None where the file
    does not say; `feeding` is who vouches for that, where the file says so. `output` is the name or number of the one that is
    meant, where the module itself still gives several.
    `notes` are sentences for people: what was done to the network on the way, what the file does not tell.
    """

    module: nn.Module
    format: str
    name: str
    size: tuple[int, int] | None = None
    channels: int = 3
    input: InputSpecification | None = None
    class_names: tuple[str, ...] | None = None
    card: ModelCard | None = None
    notes: tuple[str, ...] = ()
    output: Output = None
    feeding: Feeding | None = None

    def plain_input(self, size: tuple[int, int]) -> InputSpecification:
        """Pixels in [0, 1] at this size: how it is fed where nobody says."""
        return InputSpecification(size=size, channels="grey" if self.channels == 1 else "rgb")
