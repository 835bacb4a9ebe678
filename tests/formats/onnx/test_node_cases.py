"""Every node test that the `onnx` package ships: read exactly, or refused in a sentence; never silently wrong."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from tests.formats.onnx.node_cases import Case, as_classifier, as_it_is, exact_in_floats, stored_cases

from trojancam.errors import ModelError
from trojancam.formats.onnx.allowed import OPERATIONS
from trojancam.formats.onnx.reader import read_onnx

ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}  # its stored outputs have four digits
# Cases of known operations alone may be refused for these reasons only.
REASONS = (
    "which a graph cannot express",  # it takes from the pixels what must be known
    "it should give more values than its operation does here",
    "it normalises by the batch it is given",
    "but a classifier gives logits of shape",
    "its padding follows from the size of its result",
    "it averages over a window with gaps",
    "it resizes by 'tf_crop_and_resize'",
    "which ONNX and onnxruntime do otherwise",
    "uses the operator set",
    "are not finite",
    "should be broadcastable to",  # slopes of old operator sets
    "is invalid for input of size 0",
    "it keeps the extent of an axis that its",  # an extent of 0 was meant
    "has a type that is not read",
    "it converts to a type that is not read",
    "needs whole numbers as its attribute",
    "for one image, more than any network needs",
    "elements, more than any network needs",
)
OLDEST = 7  # of the operator sets that are read
Inputs = tuple[int, ...]


@cache
def relevant_cases() -> list[Case]:
    """All cases of operations that are read, and of what is not read one case for each operation."""
    read, unread = list[Case](), dict[frozenset[str], Case]()
    for case in stored_cases().values():
        unknown = frozenset(case.operations - set(OPERATIONS))
        if unknown:
            unread.setdefault(unknown, case)
        else:
            read.append(renewed(case))
    return [*read, *unread.values()]


def renewed(case: Case) -> Case:
    """The case in the oldest operator set that is read, where its operations are the same there as in its own."""
    entry = case.model.opset_import[0]
    if entry.version >= OLDEST:
        return case
    if any(onnx.defs.get_schema(name, OLDEST).since_version > entry.version for name in case.operations):
        return case
    model = copy.deepcopy(case.model)
    model.opset_import[0].version = OLDEST
    return replace(case, model=model)


def is_expanded(case: Case) -> bool:
    """Whether it is another case again, its one node written out as many."""
    return "_expanded" in case.name


def first_alone(case: Case) -> Inputs | None:
    return (0,)


def all_of_them(case: Case) -> Inputs | None:
    able = len(case.inputs) > 1 and all(exact_in_floats(values) for values in case.inputs) and not is_expanded(case)
    return tuple(range(len(case.inputs))) if able else None


def close(ours: Any, stored: Any, case: Case) -> bool:
    half = any(values.dtype == np.float16 for values in (*case.inputs, *case.outputs))
    within = 1e-2 if half else 1e-4 if case.name in ROUNDED else 1e-6
    with np.errstate(over="ignore"):  # what 32 bits cannot hold is infinite in both
        wanted = stored.astype(np.float32).ravel()
    largest = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0))
    return ours.shape == wanted.shape and bool(
        np.allclose(ours, wanted, rtol=10 * within, atol=within * largest, equal_nan=True)
    )


def outcomes(path: Path, choose: Callable[[Case], Inputs | None]) -> Iterator[tuple[Case, str]]:
    """What becomes of each output of each case: "exact", "wrong", or the sentence that refuses it."""
    for case in relevant_cases():
        dynamic = choose(case)
        for place, stored in enumerate(case.outputs[:1] if is_expanded(case) else case.outputs):
            if dynamic and exact_in_floats(case.inputs[0]) and stored.dtype.kind in "iubf":
                yield case, outcome(path, case, stored, partial(as_classifier, path, case, dynamic, place))


def outcome(path: Path, case: Case, stored: Any, write: Callable[[], torch.Tensor]) -> str:
    images = write()
    try:
        opened = read_onnx(path)
    except ModelError as error:
        return str(error)
    if any("channels last" in note for note in opened.notes) and images.shape[1] != opened.channels:
        images = images.permute(0, 3, 1, 2)
    with torch.no_grad():
        return "exact" if close(opened.module(images).numpy().ravel(), stored, case) else "wrong"


def judged(results: Iterable[tuple[Case, str]], reasons: Sequence[str] = REASONS) -> set[str]:
    """The operations that came out exactly; nothing is wrong, nor refused for any other reason."""
    exact, wrong, unreasoned = set[str](), list[str](), list[tuple[str, str]]()
    for case, result in results:
        if result == "exact":
            exact |= case.operations
        elif result == "wrong":
            wrong.append(case.name)
        elif case.operations <= set(OPERATIONS) and not any(reason in result for reason in reasons):
            unreasoned.append((case.name, result))
    assert not wrong
    assert not unreasoned
    return exact


def test_stored_cases_of_one_changing_input_are_exact_or_refused(tmp_path: Path) -> None:
    exact = judged(outcomes(tmp_path / "case.onnx", first_alone))
    there = set[str]().union(*(case.operations for case in relevant_cases()))
    assert set(OPERATIONS) & there <= exact


def test_stored_cases_of_changing_inputs_are_exact_or_refused(tmp_path: Path) -> None:
    exact = judged(outcomes(tmp_path / "case.onnx", all_of_them))
    assert {"Add", "MatMul", "Concat", "Where", "Conv", "ConvTranspose", "BatchNormalization"} <= exact


def test_stored_cases_that_take_images_are_exact_or_refused_as_they_are(tmp_path: Path) -> None:
    path, results = tmp_path / "case.onnx", list[tuple[Case, str]]()
    for case in relevant_cases():
        if case.inputs[0].ndim == 4 and case.inputs[0].dtype.kind == "f":
            results.append((case, outcome(path, case, case.outputs[0], partial(as_it_is, path, case))))
    exact = judged(results, reasons=[""])  # their first axis is none of images as often as not
    assert {"AveragePool", "Conv", "ConvTranspose", "MaxPool", "Resize", "BatchNormalization", "LRN"} <= exact
