"""Cleansing methods against second derivations in 64 bits; planted poison is found; bad input is refused in a sentence."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from tests.defences.planted import network, triggered
from tests.detection.planted import TARGET, pictures

from trojancam.defences import cleansing
from trojancam.defences.cleansing import CLEANSERS, TrainingData, cleansed
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.recording import record

POISONED = 5


def training_set():
    """Twenty images of each class, and five more of others that bear the trigger and the target's label."""
    images, labels = pictures(180)
    return torch.cat([images, triggered(POISONED)]), torch.cat([labels, torch.full((POISONED,), TARGET)])


def data(share=0.03, clean=None):
    images, labels = training_set()
    return TrainingData(network(), images, labels, share, clean, memory_budget=1 << 16)


@pytest.mark.parametrize("method", CLEANSERS)
def test_planted_poison_has_the_highest_scores_of_its_class(method):
    images, labels = training_set()
    found = cleansed(network(), images, labels, method, share=0.2, clean=pictures(300, seed=9)[0])[method]
    target = (labels == TARGET).nonzero()[:-POISONED, 0]
    assert found.scores[-POISONED:].min() > found.scores[target].max()
    assert found.suspicious[-POISONED:].all()


@pytest.mark.parametrize(("method", "most"), [("activation-clustering", 0.15), ("contributions", 0.06)])
def test_methods_that_decide_by_themselves_leave_clean_images(method, most):
    """Clusters of twenty images of plain noise are now and then small and apart by chance."""
    images, labels = training_set()
    found = cleansed(network(), images, labels, method, clean=pictures(300, seed=9)[0])[method]
    assert float(found.suspicious[:-POISONED].float().mean()) <= most


def test_activations_are_means_over_the_cells_of_the_last_layer():
    whole = data()
    recorded = record(network(), whole.images).layers["0"].activations.double().mean((2, 3))
    torch.testing.assert_close(whole.activations(), recorded, rtol=1e-6, atol=1e-7)


def test_spectral_signatures_are_squared_projections_on_the_first_singular_vector():
    whole = data()
    rows, labels = whole.activations().numpy(), whole.labels.numpy()
    found = cleansing.spectral_signatures(whole)
    for label in range(9):
        own = np.flatnonzero(labels == label)
        centred = rows[own] - rows[own].mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred)
        expected = (centred @ vectors[:, values.argmax()]) ** 2
        assert found.scores[own].tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-9)
        removed = np.sort(own[np.argsort(-expected)[: round(1.5 * 0.03 * len(own))]])
        assert np.flatnonzero(found.suspicious.numpy() & (labels == label)).tolist() == removed.tolist()


def test_losses_are_those_of_the_labels_as_they_are():
    whole = data()
    logits = network()(whole.images).double().numpy()
    logs = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    expected = logs[np.arange(len(logits)), whole.labels.numpy()]
    found = cleansing.loss_order(whole)
    assert found.scores.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)
    assert int(found.suspicious.sum()) == round(0.03 * len(logits))


def test_the_silhouette_is_rousseeuw_s():
    draw = np.random.default_rng(0)
    rows, second = draw.normal(size=(14, 3)), draw.random(14) < 0.4
    distances, values = cdist(rows, rows), []
    for i, side in enumerate(second):
        same = [j for j in range(14) if second[j] == side and j != i]
        inside = distances[i, same].mean()
        outside = distances[i, second != side].mean()
        values.append((outside - inside) / max(inside, outside))
    found = cleansing.silhouette(torch.from_numpy(rows), torch.from_numpy(second))
    assert found == pytest.approx(np.mean(values))
    assert cleansing.silhouette(torch.from_numpy(rows), torch.zeros(14, dtype=torch.bool)) == 0


def test_two_heaps_are_two_clusters():
    rows = torch.cat([torch.zeros(9, 2), torch.full((3, 2), 5.0)]).double() + torch.arange(12)[:, None] * 0.01
    assert cleansing.smaller_cluster(rows, seed=0).tolist() == [False] * 9 + [True] * 3
    reduced = cleansing.reduced_to(rows, 1)
    assert reduced.shape == (12, 1)
    torch.testing.assert_close(torch.cdist(reduced, reduced), torch.cdist(rows, rows), rtol=1e-6, atol=1e-9)


def test_a_class_of_one_image_is_left_alone():
    images, labels = pictures(19)
    labels[:] = torch.tensor([0] * 18 + [1])
    for method in ("spectral-signatures", "activation-clustering"):
        assert not bool(cleansed(network(), images, labels, method)[method].suspicious[18])


def test_bad_input_is_refused():
    images, labels = training_set()
    with pytest.raises(DataError, match="compares with clean images; give some"):
        cleansed(network(), images, labels, "contributions")
    with pytest.raises(UnknownNameError, match="unknown cleansing method 'spectral'"):
        cleansed(network(), images, labels, "spectral")
    with pytest.raises(DataError, match="between 0 and 1, not at 2"):
        cleansed(network(), images, labels, share=2.0)
    with pytest.raises(DataError, match="there are 3 labels for"):
        cleansed(network(), images, labels[:3])
    with pytest.raises(DataError, match="at least one cleansing method"):
        cleansed(network(), images, labels, [])
