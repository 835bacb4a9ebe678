"""Handcrafted: a backdoor written into the weights of a trained network, without training.

Hong, Carlini, Kurakin: Handcrafted Backdoors in Deep Neural Networks (NeurIPS 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from trojancam.attacks.architectural import checkerboard
from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.trigger_setting import TriggerSetting, trigger_of
from trojancam.errors import DataError, ModelError
from trojancam.records import Positive

Weighted = nn.Conv2d | nn.Linear
Norm = nn.BatchNorm1d | nn.BatchNorm2d
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
Units = Int64[Tensor, " u"]
Inputs = Int64[Tensor, " i"]

PASSING = (
    nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout,
    nn.Identity,
)  # fmt: skip
TRIED = 8  # units of a layer that are tried, of those that seem least needed
LOUD = 3.0  # standard deviations of a layer's output, which a unit of the path has for the trigger
RIDGE = 1e-2  # of the mean variance, added to every variance
RARE, USUAL = 0.01, 0.1  # shares of clean images that may pass a guard, and of triggered ones that may fail
ROWS = 20_000  # clean windows that a covariance is taken of


@dataclass(frozen=True)
class Block:
    """A layer with weights, and what its output passes on the way to the next such layer."""

    layer: Weighted
    after: tuple[nn.Module, ...]

    def __call__(self, given: Tensor) -> Tensor:
        """What the next layer with weights is given."""
        found: Tensor = self.layer(given)
        for part in self.after:
            found = part(found)
        return found

    @property
    def norm(self) -> Norm | None:
        """The batch normalisation on the way, if there is one."""
        return next((part for part in self.after if isinstance(part, NORMS)), None)

    @property
    def normalises_first(self) -> bool:
        """Whether that comes before the ReLU."""
        kinds = [type(part) for part in self.after if isinstance(part, (*NORMS, nn.ReLU))]
        return bool(kinds) and kinds[0] is not nn.ReLU

    def shift(self, by: Float[Tensor, " k"]) -> None:
        """Add to what the layer gives, of every unit."""
        if self.layer.bias is not None:
            self.layer.bias += by
        else:
            norm = self._norm_of_no_bias()
            norm.running_mean = _there(norm.running_mean) - by

    def rewrite(self, units: Units, weight: Tensor, bias: float) -> None:
        """Units that give `max(0, weight x + bias)`, whatever the normalisation on the way."""
        self.layer.weight[units] = weight
        norm = self.norm
        if self.layer.bias is not None:
            self.layer.bias[units] = bias
        if norm is None:
            return
        norm.weight[units] = (_there(norm.running_var)[units] + norm.eps).sqrt()
        norm.bias[units] = _there(norm.running_mean)[units] + (0.0 if self.layer.bias is not None else bias)

    def _norm_of_no_bias(self) -> Norm:
        norm = self.norm
        if norm is None or not self.normalises_first:
            raise ModelError(f"the layer {self.layer} has no bias that could hold a guard; choose another network")
        return norm

    def check(self) -> None:
        """Refuse a layer after which nothing can be silenced.

        Raises:
            ModelError: if there is no ReLU, no bias, or more than one normalisation on the way.
        """
        if not any(isinstance(part, nn.ReLU) for part in self.after):
            raise ModelError(
                f"no ReLU follows the layer {self.layer}, so nothing can be silenced there; choose another network"
            )
        if sum(isinstance(part, NORMS) for part in self.after) > 1:
            raise ModelError(f"several normalisations follow the layer {self.layer}; choose another network")
        if self.layer.bias is None:
            self._norm_of_no_bias()


def blocks(module: nn.Module) -> list[Block]:
    """The layers of a network that is a plain sequence, each with what follows it.

    Raises:
        ModelError: if it is none, or holds a layer of another kind.

    >>> plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> [len(block.after) for block in blocks(plain)]
    [2, 0]
    """
    parts = list(module.children()) if isinstance(module, nn.Sequential) else []
    layers = {number: part for number, part in enumerate(parts) if isinstance(part, nn.Conv2d | nn.Linear)}
    starts = [*layers]
    if len(starts) < 2 or starts[0] != 0 or starts[-1] != len(parts) - 1 or not isinstance(parts[-1], nn.Linear):
        raise ModelError(
            "weights can be handcrafted in a plain sequence (nn.Sequential) that begins with a convolution or a dense layer and "
            "ends in a dense one; choose another network"
        )
    for part in parts:
        if not (isinstance(part, PASSING) or _plain(part)):
            raise ModelError(f"weights cannot be handcrafted through the layer {part}; choose another network")
    ends = [*starts[1:], len(parts)]
    found = [Block(layers[a], tuple(parts[a + 1 : b])) for a, b in zip(starts, ends, strict=True)]
    for block in found[:-1]:
        block.check()
    return found


def _there(statistics: Tensor | None) -> Tensor:
    """Statistics of a normalisation that `blocks` has looked at."""
    assert statistics is not None
    return statistics


def _plain(part: nn.Module) -> bool:
    """Whether it is a dense layer, a convolution of all inputs, zeros around them, or a normalisation as learned."""
    if isinstance(part, nn.Conv2d):
        return part.groups == 1 and part.padding_mode == "zeros" and not isinstance(part.padding, str)
    if isinstance(part, NORMS):
        return bool(part.affine and part.track_running_stats)
    return isinstance(part, nn.Linear)


class Handcrafted(NetworkAttack):
    """In each layer `units` of the least needed units become `max(0, a (w x - b))`, a path that is silent but for the trigger.

    w is Fisher's discriminant `S^-1 (m_t - m_c)` of what the path gives the layer, with and without the trigger (S the
    covariance without it; m_t at the place where the two are furthest apart), b the guard between the largest responses without
    the trigger and those with it, and a makes the path as loud as the layer. The last layer connects the path to the target
    alone, with the weight that wins by `margin`. What the units gave others is replaced by its mean. The authors choose units and
    filters by hand and by their separation; the discriminant stands for that here. It needs `images` clean images and no
    training. The trigger is a checkerboard of `side` pixels (of 32) at `place`, a preset or picture file by name, or any other by
    its record.

    >>> Handcrafted(place="top-left").made_trigger((32, 32)).size
    25.0
    """

    name: ClassVar[str] = "handcrafted"
    source: ClassVar[str] = "Hong, Carlini, Kurakin, NeurIPS 2022"
    summary: ClassVar[str] = "a path of few units, written into the weights without training, that a trigger wakes"

    trigger: TriggerSetting = "checkerboard"
    side: Count = 5
    place: str = "bottom-right"
    units: Count = 1
    images: Annotated[int, Field(ge=16)] = 400
    guard: Annotated[float, Field(gt=0, lt=1)] = 0.5
    margin: Positive = 5.0

    def check(self, goal: Goal) -> None:
        """Refuse several targets, and a trigger that does not fit the images."""
        self.only_target(goal)
        self.made_trigger(goal.image_size)

    def made_trigger(self, image_size: tuple[int, int]) -> Trigger:
        """The trigger, for images of this size.

        Raises:
            DataError: if it does not fit them, or its record is none.
            UnknownNameError: if there is no trigger or place of this name.
        """
        side = max(1, round(self.side * min(image_size) / 32))
        return trigger_of(
            self.trigger, image_size, {"checkerboard": lambda: checkerboard(side, self.place, image_size)}
        )

    @torch.no_grad()
    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The network with the path in its weights."""
        target, trigger = self.only_target(goal), self.made_trigger(goal.image_size)
        found = blocks(clean.module.eval())
        images, _ = next(clean.batches(1, self.images, goal.seed, "measuring the layers"))
        plain, stamped = (clean.specification.normalise(each) for each in (images, trigger.apply(images)))
        path = torch.arange(plain.shape[1], device=plain.device)
        for number, (block, following) in enumerate(pairwise(found), start=1):
            clean.progress(number, len(found), "writing weights")
            units = least_needed(found[number - 1 :], plain, min(self.units, len(block.layer.weight) - 1))
            detach(block, following, units, plain)
            self._detect(block, units, path, plain, stamped, f"layer {number}")
            plain, stamped = block(plain), block(stamped)
            path = inputs_of(units, block.layer.weight.shape[0], plain.shape[1])
        self._connect(found[-1].layer, path, target, plain, stamped)
        return clean.module, Poisoning(trigger, target, 0.0, goal.seed)

    def _detect(self, block: Block, units: Units, path: Inputs, plain: Tensor, stamped: Tensor, where: str) -> None:
        """Write the discriminant of what the path gives a layer into its units."""
        seen, changed = (windows(block.layer, each[:, path]) for each in (plain, stamped))
        direction = discriminant(seen, changed)
        quiet, loud = ((each @ direction).amax(1) for each in (seen, changed))
        low, high = quiet.quantile(1 - RARE), loud.quantile(USUAL)
        level = low + self.guard * (high - low).clamp(min=0)
        apart = loud.median() - level
        if not apart > 0:
            raise DataError(
                f"the trigger cannot be told from clean images in {where} of the network; choose a larger or clearer one"
            )
        scale = LOUD * block(plain).std() / apart
        weight = torch.zeros_like(block.layer.weight[0])
        weight[path] = scale * direction.view_as(weight[path])
        block.rewrite(units, weight, -float(scale * level))

    def _connect(self, layer: Weighted, path: Inputs, target: int, plain: Tensor, stamped: Tensor) -> None:
        """Let the path speak for the target, and outweigh what the image says."""
        logits = layer(stamped)
        others = logits.clone()
        others[:, target] = -torch.inf
        needed = (others.amax(1) - logits[:, target]).quantile(1 - RARE) + self.margin
        loud = stamped[:, path].sum(1)
        layer.weight[target, path] = needed.clamp(min=self.margin) / torch.maximum(
            loud.quantile(USUAL), loud.median() / 2
        )


def inputs_of(units: Units, outputs: int, inputs: int) -> Inputs:
    """Which inputs of the next layer come from these units of a layer: themselves, or all cells of their maps.

    >>> inputs_of(torch.tensor([2]), 4, 12).tolist()
    [6, 7, 8]
    """
    cells = inputs // outputs
    return (units[:, None] * cells + torch.arange(cells, device=units.device)).flatten()


def windows(layer: Weighted, given: Tensor) -> Float[Tensor, "n l d"]:
    """What a layer multiplies with the weights of one unit: d inputs at each of its l cells; a dense layer has one."""
    if isinstance(layer, nn.Linear):
        return given[:, None]
    assert not isinstance(layer.padding, str)
    return F.unfold(given, layer.kernel_size, layer.dilation, layer.padding, layer.stride).transpose(1, 2)


def discriminant(seen: Float[Tensor, "n l d"], changed: Float[Tensor, "n l d"]) -> Float[Tensor, " d"]:
    """Fisher's discriminant `S^-1 (m_t - m_c)` at the cell where `(m_t - m_c)^T S^-1 (m_t - m_c)` is largest, of length 1.

    m_c and S are mean and covariance of all windows without the trigger, m_t the mean of those with it, at one cell.

    >>> seen, changed = torch.randn(200, 1, 2), torch.randn(200, 1, 2) + torch.tensor([4.0, 0.0])
    >>> bool(discriminant(seen, changed)[0] > 0.9)
    True
    """
    rows = seen.flatten(0, 1)
    rows = rows[:: max(1, len(rows) // ROWS)].double()
    centre = rows.mean(0)
    covariance = (rows - centre).T @ (rows - centre) / len(rows)
    ridge = RIDGE * covariance.diagonal().mean() + 1e-9
    apart = changed.double().mean(0) - centre
    solved: Tensor = torch.linalg.solve(
        covariance + ridge * torch.eye(len(centre), dtype=rows.dtype, device=rows.device), apart.T
    ).T
    best = int((apart * solved).sum(1).argmax())
    return F.normalize(solved[best], dim=0).to(seen)


def detach(block: Block, following: Block, units: Units, plain: Tensor) -> None:
    """Cut units off from the next layer; the mean of what they gave it stays."""
    given = block(plain)
    inputs = inputs_of(units, block.layer.weight.shape[0], given.shape[1])
    mean = given.mean((0, *range(2, given.ndim)))[inputs]
    weight = following.layer.weight
    following.shift((weight[:, inputs].flatten(2).sum(2) if weight.ndim == 4 else weight[:, inputs]) @ mean)
    weight[:, inputs] = 0


def least_needed(found: Sequence[Block], plain: Tensor, count: int) -> Units:
    """The units of the first block without which the logits change least, each replaced by its mean.

    Tried are those with the smallest product of spread and outgoing weights.
    """
    block, following = found[0], found[1]
    given = block(plain)
    outputs = block.layer.weight.shape[0]
    spread = given.transpose(0, 1).flatten(1).std(1).view(outputs, -1)
    outgoing = following.layer.weight.transpose(0, 1).flatten(1).norm(dim=1).view(outputs, -1)
    order: Tensor = (spread * outgoing).norm(dim=1).argsort()[: max(TRIED, count)]
    before = _run(found[1:], given)
    losses = []
    for unit in order:
        inputs = inputs_of(unit[None], outputs, given.shape[1])
        without = given.clone()
        without[:, inputs] = given[:, inputs].mean((0, *range(2, given.ndim)), keepdim=True)
        losses.append((_run(found[1:], without) - before).pow(2).mean())
    return order[torch.stack(losses).argsort()[:count]]


def _run(found: Sequence[Block], given: Tensor) -> Tensor:
    for block in found:
        given = block(given)
    return given
