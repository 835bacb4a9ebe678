"""ROAD: imputation against a dense float64 solve and by hand, exact counts, and scores of networks known to the pixel."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from tests.nets import images, network, random_maps, unchecked
from tests.peers import grad_cam_package
from torch import Tensor, nn

from trojancam.errors import DataError, UnknownNameError
from trojancam.evaluation import imputation, perturbation, road
from trojancam.evaluation.imputation import imputed
from trojancam.evaluation.perturbation import ranked
from trojancam.network.network import Network
from trojancam.network.targets import Target, logit, logit_difference, probability

NEIGHBOURS = [(i, j, 1 / 6 if i * j == 0 else 1 / 12) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


def dense(image: Tensor, removed: Tensor) -> np.ndarray:
    """The same system written out pixel by pixel, and solved in float64."""
    pixels = image.double().numpy().copy()
    unknown = {place: number for number, place in enumerate(map(tuple, removed.nonzero().tolist()))}
    matrix, right = np.zeros((len(unknown),) * 2), np.zeros((len(unknown), len(pixels)))
    for (row, column), number in unknown.items():
        for down, across, weight in NEIGHBOURS:
            place = (row + down, column + across)
            if not (0 <= place[0] < pixels.shape[1] and 0 <= place[1] < pixels.shape[2]):
                continue
            matrix[number, number] += weight
            if place in unknown:
                matrix[number, unknown[place]] -= weight
            else:
                right[number] += weight * pixels[:, place[0], place[1]]
    for (row, column), values in zip(unknown, np.linalg.solve(matrix, right), strict=True):
        pixels[:, row, column] = values
    return pixels


def nested(size: tuple[int, int]) -> Tensor:
    ranks = ranked(random_maps(1, size))[0]
    return torch.stack([ranks < share * ranks.numel() for share in (0.1, 0.5, 0.9)])


def rows(size: tuple[int, int]) -> Tensor:
    removed = torch.zeros(3, *size, dtype=torch.bool)
    removed[0, 2:5], removed[1, :, :-1], removed[2, 0], removed[2, -1] = True, True, True, True
    return removed


def corners(size: tuple[int, int]) -> Tensor:
    removed = torch.zeros(2, *size, dtype=torch.bool)
    removed[:, :: size[0] - 1, :: size[1] - 1] = True
    removed[1, :2, :2] = True
    return removed


def one_left(size: tuple[int, int]) -> Tensor:
    removed = torch.ones(3, *size, dtype=torch.bool)
    removed[0, 0, 0], removed[1, 4, 3], removed[2, -1, 2] = False, False, False
    return removed


def random_sets(size: tuple[int, int]) -> Tensor:
    return random_maps(6, size, seed=3) < torch.linspace(0.05, 0.95, 6)[:, None, None]


SETS: list[Callable[[tuple[int, int]], Tensor]] = [nested, rows, corners, one_left, random_sets]


@pytest.mark.parametrize("size", [(9, 9), (12, 7), (6, 11)])
@pytest.mark.parametrize("sets", SETS)
def test_imputation_is_the_solution_of_the_dense_system(
    sets: Callable[[tuple[int, int]], Tensor], size: tuple[int, int]
) -> None:
    removed = sets(size)
    given = images(len(removed), size=size)
    before = given.clone()
    expected = np.stack([dense(*pair) for pair in zip(given, removed, strict=True)])
    assert np.abs(imputed(given, removed).numpy() - expected).max() < 1e-6
    assert np.abs(imputed(given.double(), removed).numpy() - expected).max() < 1e-11
    assert torch.equal(given, before)


def test_the_dense_system_is_met_on_images_of_32_pixels_too() -> None:
    removed = torch.stack([*nested((32, 32))[1:], one_left((32, 32))[1]])
    given = images(3, size=(32, 32))
    for filled, image, gone in zip(imputed(given, removed), given, removed, strict=True):
        assert np.abs(filled.numpy() - dense(image, gone)).max() < 1e-6


def test_what_is_imputed_by_hand() -> None:
    image = torch.tensor([[[[0.0, 0.6, 0.0], [0.0, 9.0, 0.6], [1.2, 0.0, 0.0]]]])
    removed = torch.zeros(1, 3, 3, dtype=torch.bool)
    removed[0, 1, 1] = True
    assert float(imputed(image, removed)[0, 0, 1, 1]) == pytest.approx(0.6 / 6 + 0.6 / 6 + 1.2 / 12)
    removed = removed.roll((-1, -1), (1, 2))  # the corner has two neighbours beside it and one across
    expected = (0.6 / 6 + 0.0 / 6 + 9.0 / 12) / (1 / 6 + 1 / 6 + 1 / 12)
    assert float(imputed(image, removed)[0, 0, 0, 0]) == pytest.approx(expected)


def test_imputation_leaves_what_is_not_removed_and_images_of_one_value() -> None:
    given, removed = images(6), random_sets((12, 12))
    assert torch.equal(imputed(given, removed & False), given)
    filled = imputed(given, removed)
    kept = ~removed[:, None].expand_as(given)
    assert torch.equal(filled[kept], given[kept])
    plain = torch.full_like(given, 0.3)
    torch.testing.assert_close(imputed(plain, removed), plain, rtol=0, atol=1e-6)


def test_a_slope_goes_on_through_a_hole_and_nothing_leaves_the_range_of_what_is_left() -> None:
    slope = (0.02 * torch.arange(12)[:, None] + 0.05 * torch.arange(12)).expand(1, 3, 12, 12)
    removed = torch.zeros(1, 12, 12, dtype=torch.bool)
    removed[0, 3:9, 2:8] = True
    torch.testing.assert_close(imputed(slope, removed), slope, rtol=0, atol=1e-6)
    filled = imputed(images(6), random_sets((12, 12)))
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1


def test_images_and_channels_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    given, removed = images(6), random_sets((12, 12))
    removed[2] = False
    together = imputed(given, removed)
    assert torch.equal(together, torch.cat([imputed(given[i : i + 1], removed[i : i + 1]) for i in range(6)]))
    assert torch.equal(together[:, 1:2], imputed(given[:, 1:2], removed))
    monkeypatch.setattr(imputation, "MEMORY", 1)
    assert torch.equal(together, imputed(given, removed))


def test_imputation_is_what_grad_cam_imputes() -> None:
    grad_cam_package()
    from pytorch_grad_cam.metrics import road as peer

    given, removed = images(6).double(), random_sets((12, 12))
    for image, gone, filled in zip(given, removed, imputed(given, removed), strict=True):
        present = (~gone).float().numpy()
        matrix, right = peer.NoisyLinearImputer.setup_sparse_system(present, image.numpy(), peer.neighbors_weights)
        solved = torch.from_numpy(spsolve(csc_matrix(matrix), right))
        torch.testing.assert_close(filled[:, gone], solved.T, rtol=0, atol=1e-9)


def test_what_cannot_be_imputed_is_refused() -> None:
    with pytest.raises(DataError, match=r"every pixel of image 1 is removed"):
        imputed(images(2), torch.stack([torch.zeros(12, 12), torch.ones(12, 12)]).bool())
    with unchecked(), pytest.raises(DataError, match=r"2 images of \(12, 12\) pixels do not match 2 sets .* \(8, 8\)"):
        imputed(images(2), torch.zeros(2, 8, 8, dtype=torch.bool))


# Ranks and counts


def test_ranks_follow_the_map_and_ties_are_broken_by_chance_that_the_seed_decides() -> None:
    maps = random_maps(3, (12, 12))
    order = ranked(maps).flatten(1).argsort(1)
    assert bool((maps.flatten(1).gather(1, order).diff(dim=1) <= 0).all())
    blank = torch.zeros(3, 12, 12)
    ranks = ranked(blank)
    assert ranks.flatten(1).sort(1).values.tolist() == [list(range(144))] * 3
    assert torch.equal(ranks, ranked(blank))
    assert not torch.equal(ranks, ranked(blank, seed=1))
    assert not torch.equal(ranks[0], ranks[1])
    assert torch.equal(ranks[1:], ranked(blank[1:], first_image=1))


class Seen:
    """Records the images that a network is fed after they were perturbed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[Tensor] = []
        original = perturbation._logits

        def logits(net: Network, batch: Tensor) -> Tensor:
            self.batches.append(batch.clone())
            return original(net, batch)

        monkeypatch.setattr(perturbation, "_logits", logits)

    def perturbed(self, count: int) -> Tensor:
        return torch.cat(self.batches[1:]).view(count, -1, 3, 12, 12)


@pytest.mark.parametrize("kind", ["blank", "nearly blank", "two values", "random"])
def test_exactly_as_many_pixels_go_as_asked_for_whatever_the_ties(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 50 %, a threshold at the median (grad-cam's way) removes all 144 pixels of the first two kinds."""
    maps = random_maps(4, (12, 12))
    maps = {
        "blank": 0 * maps,
        "nearly blank": (maps - 0.97).relu(),
        "two values": (maps > 0.3).float(),
        "random": maps,
    }[kind]
    seen, given = Seen(monkeypatch), images(4)
    road.road(network("plain")[1], given, maps, percentiles=(25, 50, 99.5))
    gone = (seen.perturbed(4) != given[:, None]).any(2)
    assert gone.sum((2, 3)).tolist() == [[36, 72, 143, 36, 72, 143]] * 4
    for share, most, least in ((0.25, 0, 3), (0.5, 1, 4)):
        assert not bool((gone[:, most] & gone[:, least]).any()), f"the two ends meet at {share}"
        for i in range(4):
            assert maps[i][gone[i, most]].min() >= maps[i][~gone[i, most]].max()
            assert maps[i][gone[i, least]].max() <= maps[i][~gone[i, least]].min()
    assert bool((gone[:, 1] | ~gone[:, 0]).all()), "what goes at 25 % is gone at 50 %"


def test_noise_is_small_and_falls_on_removed_pixels_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, given, maps = Seen(monkeypatch), images(40), random_maps(40, (12, 12))
    road.road(network("plain")[1], given, maps, percentiles=(50,))
    most = ranked(maps) < 72
    for version, gone in zip(seen.perturbed(40).unbind(1), (most, ~most), strict=True):
        noise = version - imputed(given, gone)
        inside = gone[:, None].expand_as(noise)
        assert float(noise[~inside].abs().max()) == 0
        assert float(noise[inside].std()) == pytest.approx(0.01, rel=0.05)
        assert abs(float(noise[inside].mean())) < 5 * 0.01 / inside.sum().sqrt()


# Scores


def reads_pixel(row: int, column: int) -> Network:
    """Logit 0 is ten times the mean over the channels of one pixel, less 5; the others are 0, 1 and 2 tenths of -1."""
    module = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.Flatten(), nn.Linear(144, 4))
    with torch.no_grad():
        module[0].weight.fill_(1 / 3)
        module[2].weight.zero_()
        module[2].weight[0, 12 * row + column] = 10
        module[2].bias.copy_(torch.tensor([-5.0, 0.0, -0.1, -0.2]))
    return Network.from_module(module, (12, 12))


def test_scores_by_hand_on_a_network_that_reads_one_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bright pixel in a dark image: remove it first and the score is gone at once; keep it, and it stays."""
    monkeypatch.setattr(road, "NOISE", 0)
    net, dark = reads_pixel(4, 7), torch.zeros(1, 3, 12, 12)
    dark[0, :, 4, 7] = 1
    found = torch.zeros(1, 12, 12)
    found[0, 4, 7] = 1
    scores = road.road(net, dark, found, logit(0))
    torch.testing.assert_close(scores.clean, torch.tensor([5.0]))
    torch.testing.assert_close(scores.morf, torch.full((1, 9), -5.0))
    torch.testing.assert_close(scores.lerf, torch.full((1, 9), 5.0))
    torch.testing.assert_close(scores.combined, torch.tensor([5.0]))
    torch.testing.assert_close(road.road(net, dark, -found, logit(0)).combined, torch.tensor([-5.0]))
    by_default = road.road(net, dark, found)  # the probability of class 0, which the whole image is
    others = sum(np.exp([0.0, -0.1, -0.2]))
    kept, lost = np.exp(5) / (np.exp(5) + others), np.exp(-5) / (np.exp(-5) + others)
    torch.testing.assert_close(by_default.combined, torch.tensor([(kept - lost) / 2]).float())
    assert (by_default.target, by_default.percentiles) == (
        "probability of the predicted class",
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
    )


def test_scores_of_any_image_are_those_of_the_densely_imputed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(road, "NOISE", 0)
    given, maps = images(3), random_maps(3, (12, 12), seed=5)
    scores = road.road(reads_pixel(0, 11), given, maps, logit(0), percentiles=(30, 80.0))
    for i in range(3):
        order = sorted(range(144), key=lambda pixel, i=i: -float(maps[i].flatten()[pixel]))
        for p, count in enumerate((43, 115)):
            for gone, score in ((order[:count], scores.morf), (order[-count:], scores.lerf)):
                removed = torch.zeros(144, dtype=torch.bool)
                removed[gone] = True
                pixel = dense(given[i], removed.view(12, 12))[:, 0, 11].mean()
                assert float(score[i, p]) == pytest.approx(10 * pixel - 5, abs=1e-5)
    expected = (scores.lerf.mean(1) - scores.morf.mean(1)) / 2
    torch.testing.assert_close(scores.combined, expected)


@pytest.mark.parametrize(
    "target", [None, probability(), logit(), logit_difference(None, 3)], ids=lambda target: target and target.name
)
def test_the_predicted_class_is_that_of_the_whole_image(target: Target | None) -> None:
    """Without its pixel the image is class 1, whose probability and logit are no lower than those of class 0 were."""
    net, dark, found = reads_pixel(4, 7), torch.zeros(2, 3, 12, 12), torch.zeros(2, 12, 12)
    dark[0, :, 4, 7] = 0.6
    found[:, 4, 7] = 1
    scores = road.road(net, dark, found, target, percentiles=(50,))
    assert net(dark).argmax(1).tolist() == [0, 1]
    drop = scores.clean - scores.morf[:, 0]
    assert drop[0] > 0.4
    assert abs(drop[1]) < 0.1


def test_one_class_for_each_image_is_a_target_too() -> None:
    given, maps, net = images(5), random_maps(5, (12, 12)), network("plain")[1]
    classes = torch.tensor([0, 1, 2, 3, 0])
    together = road.road(net, given, maps, probability(classes), (20, 60), memory_budget=1)
    for i in range(5):
        part = slice(i, i + 1)
        alone = road.road(net, given[part], maps[part], probability(int(classes[i])), (20, 60), first_image=i)
        torch.testing.assert_close((alone.morf, alone.lerf), (together.morf[part], together.lerf[part]))


def test_scores_depend_on_the_seed_but_not_on_batches() -> None:
    given, net = images(7), network("residual")[1]
    maps = (random_maps(7, (12, 12)) - 0.5).relu()
    whole = road.road(net, given, maps)
    assert torch.equal(whole.morf, road.road(net, given, maps).morf)
    assert not torch.equal(whole.morf, road.road(net, given, maps, seed=1).morf)
    for scores in (
        road.road(net, given, maps, memory_budget=1),
        road.road(net, given, maps, memory_budget=100_000),
    ):
        torch.testing.assert_close((scores.morf, scores.lerf), (whole.morf, whole.lerf))
    parts = [road.road(net, given[s], maps[s], first_image=s.start) for s in (slice(0, 3), slice(3, 7))]
    torch.testing.assert_close(torch.cat([part.combined for part in parts]), whole.combined)


def test_maps_that_know_nothing_score_around_zero() -> None:
    net, given = reads_pixel(4, 7), images(200)
    for maps in (torch.zeros(200, 12, 12), random_maps(200, (12, 12), seed=2)):
        combined = road.road(net, given, maps, logit(0), percentiles=(20, 50, 80)).combined
        assert abs(float(combined.mean())) < 4 * float(combined.std()) / 200**0.5


def test_progress_ends_with_all_images() -> None:
    seen: list[tuple[int, int]] = []
    road.road(
        network("plain")[1],
        images(5),
        random_maps(5, (12, 12)),
        memory_budget=1,
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("percentile", [0, 100, -5, 120.0, float("nan")])
def test_percentiles_that_leave_all_or_nothing_are_refused(percentile: float) -> None:
    with pytest.raises(DataError, match="percentiles must lie between 0 and 100, not at"):
        road.road(network("plain")[1], images(1), torch.zeros(1, 12, 12), percentiles=(50, percentile))


def test_what_cannot_be_scored_is_refused() -> None:
    net, given, maps = network("plain")[1], images(2), torch.zeros(2, 12, 12)
    with pytest.raises(DataError, match="there are no percentiles"):
        road.road(net, given, maps, percentiles=())
    with pytest.raises(DataError, match=r"removing 99.9 % of 144 pixels leaves none"):
        road.road(net, given, maps, percentiles=(99.9,))
    with pytest.raises(DataError, match="there are no images"):
        road.road(net, given[:0], maps[:0])
    with pytest.raises(DataError, match="the heat map of image 1 is not finite"):
        road.road(net, given, torch.stack([maps[0], maps[0] * float("nan")]))
    with pytest.raises(UnknownNameError, match="classes 0 to 3"):
        road.road(net, given, maps, logit(7))
    with pytest.raises(DataError, match="must not be negative"):
        road.road(net, given, maps, seed=-1)
    with pytest.raises(DataError, match=r"must lie in \[0, 1\]"):
        road.road(net, 255 * given, maps)
    with unchecked(), pytest.raises(DataError, match=r"2 images of 12x12 pixels .* of shape \(2, 8, 8\)"):
        road.road(net, given, maps[:, :8, :8])
