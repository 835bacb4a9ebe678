"""Groups of ONNX nodes that are one operation of PyTorch, written out: recognised, so that layers and activations show.

Exporters write SiLU as a product with a sigmoid, GELU as five nodes, a convolution's bias as an addition, and batch
normalisation as a subtraction, a product and a sum.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trojancam.formats.onnx.allowed import OPERATIONS
from trojancam.formats.onnx.node import Value
from trojancam.formats.onnx.plan import Argument, Plan, Ref, Step, Weight


def recognised(plan: Plan, output: str) -> list[Step]:
    """The steps that the output depends on, with known groups as one step each."""
    steps = live(plan.steps, output)
    for rule in (_biased, _group_normalised, _batch_normalised, _activated):
        steps = live(_replaced(plan, steps, output, rule), output)
    return steps


def live(steps: Sequence[Step], output: str) -> list[Step]:
    """The steps that the output depends on."""
    wanted, alive = {output}, []
    for step in reversed(steps):
        if wanted.intersection(step.outputs):
            wanted.update(step.sources)
            alive.append(step)
    return alive[::-1]


class Surroundings:
    """Who makes a value, and who uses it."""

    def __init__(self, plan: Plan, steps: Sequence[Step], output: str) -> None:
        self.trials = plan.trials
        self.makers = {name: step for step in steps for name in step.outputs if name}
        self.users: dict[str, list[Step]] = {output: []}
        self._output = output
        for step in steps:
            for name in dict.fromkeys(step.sources):
                self.users.setdefault(name, []).append(step)

    def maker(self, argument: Argument, operation: str) -> Step | None:
        """The step that makes a value, if it is this operation."""
        step = self.makers.get(argument.name) if isinstance(argument, Ref) else None
        return step if step is not None and step.node.operation == operation else None

    def only_user(self, step: Step) -> Step | None:
        """The one step that uses the first value of another one, which is not the network's output."""
        users = self.users.get(step.outputs[0], [])
        return users[0] if len(users) == 1 and step.outputs[0] != self._output else None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value for two images."""
        value: Value = self.trials[name][0]
        return tuple(value.shape)


Rule = Callable[[Step, Surroundings], tuple[Step, Step] | None]


def _replaced(plan: Plan, steps: Sequence[Step], output: str, rule: Rule) -> list[Step]:
    """Each last step of a group that the rule finds gives way to what the rule makes of the group."""
    around = Surroundings(plan, steps, output)
    found: dict[int, Step] = {}
    for step in steps:
        pair = rule(step, around)
        if pair is not None:
            found[id(pair[0])] = pair[1]
            for name in pair[1].outputs:
                around.makers[name] = pair[1]
    return [found.get(id(step), step) for step in steps]


def _biased(step: Step, around: Surroundings) -> tuple[Step, Step] | None:
    """A convolution or a dense layer without bias, and then the addition of one."""
    weight = step.arguments[1] if len(step.arguments) == 2 else None
    if step.node.operation not in ("Conv", "MatMul") or not isinstance(weight, Weight):
        return None
    last, rank = around.only_user(step), len(around.shape(step.outputs[0]))
    bias = _other(last, step, "Add")
    axis = 1 if step.node.operation == "Conv" else rank - 1
    if last is None or not isinstance(bias, Weight) or weight.tensor.ndim != (4 if axis == 1 and rank == 4 else 2):
        return None
    flat = _along(bias.tensor, axis, around.shape(step.outputs[0]))
    if flat is None:
        return None
    node = step.node if step.node.operation == "Conv" else replace(step.node, operation="Gemm", attributes={})
    arguments = (*step.arguments, Weight(bias.name, flat))
    return last, Step(node, OPERATIONS[node.operation], arguments, last.outputs)


def _batch_normalised(step: Step, around: Surroundings) -> tuple[Step, Step] | None:
    """After a convolution: less a mean, times a scale, plus a bias, each per feature map; the first may be missing."""
    if step.node.operation != "Conv" or len(around.shape(step.outputs[0])) != 4:
        return None
    shape = around.shape(step.outputs[0])
    first = around.only_user(step)
    mean = _per_map(first, step, "Sub", shape)
    middle = around.only_user(first) if first is not None and mean is not None else first
    before = first if first is not None and mean is not None else step
    scale = _per_map(middle, before, "Mul", shape)
    last = around.only_user(middle) if middle is not None and scale is not None else None
    bias = _per_map(last, middle, "Add", shape) if middle is not None else None
    if scale is None or bias is None or last is None:
        return None
    unit = torch.ones(shape[1])
    mean = mean or Weight("mean", torch.zeros(shape[1]))
    node = replace(last.node, operation="BatchNormalization", attributes={"epsilon": 0.0})
    arguments = (Ref(step.outputs[0]), scale, bias, mean, Weight("variance", unit))
    return last, Step(node, OPERATIONS["BatchNormalization"], arguments, last.outputs)


def _group_normalised(step: Step, around: Surroundings) -> tuple[Step, Step] | None:
    """Maps laid together in groups, normalised as instances, laid apart, and scaled."""
    if step.node.operation != "InstanceNormalization" or len(step.arguments) != 3:
        return None
    together, apart = around.maker(step.arguments[0], "Reshape"), around.only_user(step)
    _, ones, zeros = step.arguments
    if together is None or apart is None or apart.node.operation != "Reshape":
        return None
    if not (isinstance(ones, Weight) and isinstance(zeros, Weight) and bool((ones.tensor == 1).all())):
        return None
    source, groups = together.arguments[0], around.shape(together.outputs[0])
    shape = around.shape(apart.outputs[0])
    if (
        bool(zeros.tensor.any())
        or not isinstance(source, Ref)
        or around.shape(source.name) != shape
        or len(groups) != 3
    ):
        return None
    scaled = around.only_user(apart)
    scale = _per_map(scaled, apart, "Mul", shape)
    last = around.only_user(scaled) if scaled is not None and scale is not None else None
    bias = _per_map(last, scaled, "Add", shape) if scaled is not None else None
    if last is None or scale is None or bias is None:
        return None
    attributes = {"num_groups": groups[1], "epsilon": step.node.number("epsilon", 1e-5)}
    node = replace(last.node, operation="GroupNormalization", attributes=attributes)
    return last, Step(node, OPERATIONS["GroupNormalization"], (source, scale, bias), last.outputs)


def _activated(step: Step, around: Surroundings) -> tuple[Step, Step] | None:
    """A value times a gate that was made of it."""
    gate = _gate(step, around)
    if gate is None:
        return None
    source, operation, wanted = gate
    factor, met, last = 1.0, False, step
    while not (met and math.isclose(factor, wanted, rel_tol=1e-5)):
        user = around.only_user(last)
        if user is None or user.node.operation not in ("Mul", "Div"):
            return None
        by, times = _factor(user, last, source, around)
        if by is None or (times and met):
            return None
        factor, met, last = factor * by, met or times, user
    node = replace(last.node, operation=operation, attributes={})
    return last, Step(node, OPERATIONS[operation], (source,), last.outputs)


def _gate(step: Step, around: Surroundings) -> tuple[Ref, str, float] | None:
    """If the step is a gate: what it is made of, the activation, and the number that the product is to be multiplied by."""
    first = step.arguments[0] if step.arguments else None
    if step.node.operation == "Sigmoid" and isinstance(first, Ref):
        return first, "Swish", 1.0
    if step.node.operation == "HardSigmoid" and isinstance(first, Ref):
        alpha, beta = step.node.number("alpha", 0.2), step.node.number("beta", 0.5)
        return (first, "HardSwish", 1.0) if math.isclose(alpha, 1 / 6, rel_tol=1e-5) and beta == 0.5 else None
    if step.node.operation == "Tanh":
        softplus = around.maker(first, "Softplus")
        return _made_of(softplus.arguments[0], "Mish", 1.0) if softplus else None
    if step.node.operation == "Clip":
        shifted = around.maker(first, "Add")
        bounds = [_single(bound) for bound in step.arguments[1:]] or [
            step.node.attributes.get(name) for name in ("min", "max")
        ]
        return _made_of(_beside(shifted, 3.0), "HardSwish", 1 / 6) if bounds == [0.0, 6.0] else None
    if step.node.operation == "Add":
        error = next((found for argument in step.arguments if (found := around.maker(argument, "Erf"))), None)
        return _made_of(_scaled_down(error, around), "Gelu", 0.5) if error and _beside(step, 1.0) else None
    return None


def _made_of(source: Argument, operation: str, factor: float) -> tuple[Ref, str, float] | None:
    return (source, operation, factor) if isinstance(source, Ref) else None


def _scaled_down(error: Step, around: Surroundings) -> Argument:
    """What an error function is taken of, if that is a value divided by the root of 2."""
    divided = around.maker(error.arguments[0], "Div")
    if divided is not None:
        by = _single(divided.arguments[1])
        return divided.arguments[0] if by is not None and math.isclose(by, math.sqrt(2), rel_tol=1e-5) else None
    times = around.maker(error.arguments[0], "Mul")
    return _beside(times, math.sqrt(0.5))


def _beside(step: Step | None, number: float) -> Argument:
    """The other input of a step of which one is this number."""
    if step is None or len(step.arguments) != 2:
        return None
    for one, other in (step.arguments, step.arguments[::-1]):
        value = _single(one)
        if value is not None and math.isclose(value, number, rel_tol=1e-5):
            return other
    return None


def _factor(user: Step, last: Step, source: Ref, around: Surroundings) -> tuple[float | None, bool]:
    """By what a product multiplies: a number, and whether by the source too; None where by anything else."""
    if user.node.operation == "Div":
        by = _single(user.arguments[1])
        return (1 / by if by and user.arguments[0] == Ref(last.outputs[0]) else None), False
    other = _other(user, last, "Mul")
    if other == source:
        return 1.0, True
    if isinstance(other, Ref):
        scaled = around.maker(other, "Mul")
        parts = scaled.arguments if scaled is not None else ()
        number = next((value for part in parts if (value := _single(part)) is not None), None)
        return (
            (number, True)
            if number is not None and source in [p for p in parts if isinstance(p, Ref)]
            else (None, False)
        )
    return _single(other), False


def _other(user: Step | None, step: Step | None, operation: str) -> Argument:
    """The other input of a step of two, if it is this operation and uses the first value of `step` once."""
    if user is None or step is None or user.node.operation != operation or len(user.arguments) != 2:
        return None
    own = Ref(step.outputs[0])
    first, second = ((isinstance(argument, Ref) and argument == own) for argument in user.arguments)
    if first == second or (second and operation == "Sub"):
        return None
    return user.arguments[1 if first else 0]


def _per_map(user: Step | None, step: Step | None, operation: str, shape: tuple[int, ...]) -> Weight | None:
    """What a step subtracts, multiplies by or adds, if that is one number for each feature map."""
    other = _other(user, step, operation)
    flat = _along(other.tensor, 1, shape) if isinstance(other, Weight) else None
    return Weight(other.name, flat) if isinstance(other, Weight) and flat is not None else None


def _along(tensor: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor | None:
    """The tensor as a flat one, if it broadcasts along this axis of the shape alone."""
    full = (1,) * (len(shape) - tensor.ndim) + tuple(tensor.shape)
    alone = len(full) == len(shape) and all(extent == 1 for place, extent in enumerate(full) if place != axis)
    return tensor.reshape(-1) if alone and tensor.numel() == shape[axis] and tensor.is_floating_point() else None


def _single(argument: object) -> float | None:
    """The number that an input is, if it is one."""
    if isinstance(argument, np.ndarray) and argument.size == 1 and isinstance(argument.item(), int | float):
        return float(argument.item())
    return None
