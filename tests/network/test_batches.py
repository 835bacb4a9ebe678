"""Batches: what a row is said to take against the bytes alive while it runs; portions cover all, and stay within budget."""

from dataclasses import dataclass

import pytest
import torch
from tests.held import Held
from tests.nets import NETS, images_for, network

from trojancam.errors import DataError
from trojancam.network import batches
from trojancam.network.batches import Footprint, GatheredRecords, check_budget, fitting, footprint, measured, parts
from trojancam.network.recording import record

IMAGES = 16


@pytest.mark.parametrize("name", [*NETS, "basic", "trojan1", "trojan2"])
def test_a_footprint_is_what_a_run_takes_and_never_less(name: str) -> None:
    _, net = network(name)
    inputs, images = net.input.normalise(images_for(net, IMAGES)), images_for(net, IMAGES)
    with Held() as forward, torch.no_grad():
        net.forward_with(inputs, ())
    live = footprint(net._whole.graph).live - inputs[0].nbytes  # which are given
    assert 0.5 * live <= forward.peak / IMAGES <= live
    record(net, images)  # its graph is made once
    with Held() as backward:
        record(net, images)
    taken = net.footprint
    assert 0.25 * (taken.live + taken.kept) <= backward.peak / IMAGES <= taken.live + taken.kept


def test_a_footprint_by_hand() -> None:
    cells = 4 * 5 * 3 * 3  # bytes of the activations after the second layer; once more as a row; four logits
    assert network("plain")[1].cut("second").footprint == Footprint(2 * cells + 16, 2 * cells + 16, cells)


def test_rows_are_what_fits_and_on_a_processor_no_more_than_its_cache_likes() -> None:
    row = Footprint(kept=400, live=100, largest=50)
    assert (row.rows(1000), row.rows(1000, gradients=True), row.plus(100).rows(1000), row.rows(1)) == (10, 2, 5, 1)
    large = Footprint(kept=2**21, live=2**21, largest=2**20)
    elsewhere = torch.device("meta")
    assert (large.rows(2**30), large.rows(2**30, device=elsewhere)) == (batches.CACHED // 2**20, 512)
    assert (row.rows(2**30), row.rows(2**30, device=elsewhere)) == (batches.MOST, 2**30 // 100)
    assert (fitting(300, 1000), fitting(3000, 1000), fitting(0, 10)) == (3, 1, 10)


def test_a_module_is_measured_by_running_it() -> None:
    module, net = network("trojan2")
    found = measured(module, net.input.normalise(images_for(net, 2)))
    exact = footprint(net._whole.graph)
    assert found.largest == exact.largest
    assert exact.live <= found.live == found.kept <= 1.2 * exact.kept  # places of maxima, which graphs leave out


@dataclass(frozen=True)
class Inside:
    rows: torch.Tensor
    flag: bool


@dataclass(frozen=True)
class Outside:
    rows: torch.Tensor
    by_name: dict[str, Inside]
    name: str
    nothing: torch.Tensor | None = None


def test_records_that_come_in_portions_are_one() -> None:
    gathered = GatheredRecords[Outside](5)
    values = torch.arange(15.0).view(5, 3)
    for part in parts(5, 2):
        inside = Inside(values[part] + 1, flag=part.start == 2)
        gathered.add(Outside(values[part], {"a": inside}, "name"))
    whole = gathered.whole
    assert torch.equal(whole.rows, values)
    assert torch.equal(whole.by_name["a"].rows, values + 1)
    assert (whole.by_name["a"].flag, whole.name, whole.nothing) == (True, "name", None)


def test_a_single_portion_is_taken_as_it_is_and_none_has_the_shape_of_one() -> None:
    rows = torch.rand(3, 2)
    gathered = GatheredRecords[Inside](3)
    gathered.add(Inside(rows, flag=False))
    assert gathered.whole.rows is rows
    nothing = batches.Gathered(0)
    nothing.add(rows[:0])
    assert nothing.whole.shape == (0, 2)
    assert list(parts(0, 4)) == [slice(0, 0)]


def test_portions_keep_the_layout_in_memory() -> None:
    maps = torch.rand(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    gathered = batches.Gathered(4)
    for part in parts(4, 2):
        gathered.add(maps[part])
    assert torch.equal(gathered.whole, maps)
    assert gathered.whole.stride() == maps.stride()


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_nothing_is_refused(budget: int) -> None:
    with pytest.raises(DataError, match=f"must be a positive number of bytes, not {budget}"):
        check_budget(budget)
