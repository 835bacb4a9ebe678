"""Margins: by how much a class leads the others, read off the logits."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def margins(logits: Float[Tensor, "*m classes"]) -> Float[Tensor, "*m classes"]:
    """By how much each class leads all others together: `y_t - logsumexp(the other logits)`, for each class.

    Above 0, the class has more than half of the probability.

    >>> margins(torch.tensor([[0.0, 0.0]]))
    tensor([[0., 0.]])
    """
    top = logits.argmax(-1, keepdim=True)
    peak = logits.gather(-1, top)
    shares = (logits - peak).exp()
    others = peak + (shares.sum(-1, keepdim=True) - shares).log()
    behind = logits.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    # The top class may have all of the sum but a rounding error: what the others have is added up without it.
    return (logits - others).scatter(-1, top, peak - behind)


def margin(logits: Float[Tensor, "m n classes"], classes: Int64[Tensor, " m"]) -> Float[Tensor, "m n"]:
    """The margin of one class for each of m variants; gradients flow."""
    index = classes[:, None, None].expand(*logits.shape[:2], 1)
    others = logits.scatter(-1, index, -torch.inf).logsumexp(-1)
    return logits.gather(-1, index)[..., 0] - others


def lead(logits: Float[Tensor, "*m classes"], target_class: int) -> Float[Tensor, "*m"]:
    """By how much a class's logit is above the greatest of the others: above 0, the network answers with the class.

    >>> lead(torch.tensor([1.0, 5.0, 3.0]), 1)
    tensor(2.)
    """
    classes = torch.full(logits.shape[:-1], target_class, dtype=torch.long, device=logits.device)
    return leads(logits, classes)


def leads(logits: Float[Tensor, "*m classes"], classes: Int64[Tensor, "*m"]) -> Float[Tensor, "*m"]:
    """The same of a class for each row of logits; gradients flow.

    >>> leads(torch.tensor([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0]]), torch.tensor([1, 2]))
    tensor([ 2., -2.])
    """
    index = classes[..., None]
    return logits.gather(-1, index)[..., 0] - logits.scatter(-1, index, -torch.inf).amax(-1)
