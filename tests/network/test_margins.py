"""Margins against a float64 derivation."""

import pytest
import torch

from trojancam.network.margins import margin, margins


def reference(logits: torch.Tensor) -> torch.Tensor:
    """`y_t - log(sum of exp of the others)`, one class at a time, in double precision."""
    exact = logits.double()
    columns = []
    for number in range(logits.shape[-1]):
        others = torch.cat([exact[..., :number], exact[..., number + 1 :]], -1)
        columns.append(exact[..., number] - others.logsumexp(-1))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1000.0])
def test_margins_are_the_lead_over_all_others_also_where_one_class_has_nearly_all(scale: float) -> None:
    logits = scale * torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(margins(logits), reference(logits).float(), rtol=1e-5, atol=1e-5)
    classes = torch.tensor([0, 6, 3, 3, 1, 2])
    expected = reference(logits)[torch.arange(6), :, classes].float()
    torch.testing.assert_close(margin(logits, classes), expected, rtol=1e-5, atol=1e-5)


def test_tied_classes_lead_nobody() -> None:
    assert margins(torch.tensor([[5.0, 5.0]])).tolist() == [[0.0, 0.0]]
