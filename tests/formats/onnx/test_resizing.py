"""Resizing as onnxruntime does it: by scales that are fractions, and by every mode, place and rounding that is read."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.formats.onnx_graphs import graph, reads_alike

from trojancam.errors import ModelError
from trojancam.formats.onnx.reader import read_onnx

SIZE = (9, 10)
PLACES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
SCALES = [(0.6, 1.7), (0.34, 2.0), (0.12, 0.25), (1.25, 0.9), (3.0, 1.0)]
WHOLE = (2 / 3, 1.7)  # that give a whole number of cells
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def write(path: Path, asked: dict[str, Any], opset: int = 19, **how: Any) -> Path:
    """A network that resizes its images: `asked` are the scales or the sizes."""
    inputs = ["x", "", "scales"] if "scales" in asked else ["x", "", "", "sizes"]
    kinds = {"scales": np.float32, "sizes": np.int64}
    constants = {name: np.array(values, kinds[name]) for name, values in asked.items()}
    nodes = [helper.make_node("Resize", inputs, ["r"], **how), helper.make_node("Flatten", ["r"], ["y"], axis=1)]
    return graph(path, nodes, constants, opset, ("n" if "scales" in asked else 1, 3, *SIZE))


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize(("mode", "where"), list(product(("linear", "cubic"), PLACES)))
def test_fractional_scales_are_those_of_the_file(tmp_path: Path, mode: str, where: str, scales: Any) -> None:
    scales = WHOLE if where == "align_corners" else scales
    path = write(tmp_path / "x.onnx", {"scales": (1, 1, *scales)}, mode=mode, coordinate_transformation_mode=where)
    reads_alike(path, SIZE)


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize(("where", "rounding"), list(product(PLACES, ROUNDINGS)))
def test_the_nearest_cell_is_that_of_onnxruntime(tmp_path: Path, where: str, rounding: str, scales: Any) -> None:
    scales = WHOLE if where == "align_corners" else scales
    how = {"coordinate_transformation_mode": where, "nearest_mode": rounding}
    reads_alike(write(tmp_path / "x.onnx", {"scales": (1, 1, *scales)}, mode="nearest", **how), SIZE)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (7, 13)], ids=str)
@pytest.mark.parametrize(("mode", "where"), list(product(("linear", "nearest", "cubic"), PLACES)))
def test_sizes_down_to_one_pixel(tmp_path: Path, mode: str, where: str, size: Any) -> None:
    path = write(tmp_path / "x.onnx", {"sizes": (1, 3, *size)}, mode=mode, coordinate_transformation_mode=where)
    reads_alike(path, SIZE)


@pytest.mark.parametrize("slope", [-0.5, -0.75])
def test_cells_beyond_the_border_may_count_for_nothing(tmp_path: Path, slope: float) -> None:
    path = write(
        tmp_path / "x.onnx", {"scales": (1, 1, 0.7, 1.6)}, mode="cubic", exclude_outside=1, cubic_coeff_a=slope
    )
    reads_alike(path, SIZE)


@pytest.mark.parametrize("outside", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_smoothing(tmp_path: Path, mode: str, outside: int) -> None:
    how = {"mode": mode, "antialias": 1, "exclude_outside": outside}
    reads_alike(write(tmp_path / "x.onnx", {"scales": (1, 1, 0.4, 0.7)}, **how), SIZE)


@pytest.mark.parametrize(
    ("asked", "how", "says"),
    [
        ({"scales": (1, 1, 2, 2)}, {"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize"),
        ({"scales": (1, 2, 2, 2)}, {}, "which are not the extents of maps"),
        ({"scales": (2, 1, 2, 2)}, {}, "which are not the extents of maps"),
        ({"scales": (1, 1, 2)}, {}, "which are not the extents of maps"),
        ({"scales": (1, 1, 0.01, 2)}, {}, "it resizes maps to 0 cells"),
        (
            {"scales": (1, 1, 0.6, 2)},
            {"coordinate_transformation_mode": "align_corners"},
            "which ONNX and onnxruntime do",
        ),
        ({"scales": (1, 1, -1, 2)}, {}, "it resizes by -1.0"),
        ({"scales": (1, 1, 2, 2)}, {"mode": "magic"}, "it resizes by 'magic'"),
        ({"sizes": (1, 3, 4, 4)}, {"axes": [0, 1, 2, 9]}, "it resizes the axes"),
    ],
)
def test_what_is_not_read_is_refused(tmp_path: Path, asked: Any, how: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        read_onnx(write(tmp_path / "x.onnx", asked, **how))


def test_the_nearest_cell_of_operator_set_10_is_refused_where_it_is_open(tmp_path: Path) -> None:
    def of(scale: float) -> Path:
        nodes = [helper.make_node("Resize", ["x", "s"], ["r"]), helper.make_node("Flatten", ["r"], ["y"])]
        scales = {"s": np.array([1, 1, scale, scale], np.float32)}
        return graph(tmp_path / f"{scale}.onnx", nodes, scales, 10, ("n", 3, 8, 8))

    reads_alike(of(0.5), (8, 8))
    with pytest.raises(ModelError, match="operator set 10 does not say which"):
        read_onnx(of(0.6))
