"""Top-k in PyTorch: AbsTopK on activations, and the projection of weights.

Of the ways that PyTorch offers, those that were fastest: for rows `topk`, unsorted,
and a scatter; for whole matrices `kthvalue`, all matrices of a shape in one call, which
are then shared out between the threads.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def keep_largest(x: Tensor, k: int) -> Tensor:
    """The k entries of largest magnitude of every row, the others 0."""
    index = x.detach().abs().topk(k, -1, sorted=False).indices
    return torch.zeros_like(x).scatter(-1, index, x.gather(-1, index))


def keep_mask(x: Tensor, k: int) -> Tensor:
    """The same by a threshold; with ties more than k are kept."""
    size = x.detach().abs()
    least = size.kthvalue(size.shape[-1] - k + 1, -1, keepdim=True).values
    return x * (size >= least)


def project(weights: Sequence[Tensor], k: int, alive: int, dim: int | None) -> None:
    """In place: every matrix keeps its k largest entries, and first of all the `alive`
    largest along `dim`; None keeps no minimum. The matrices have one shape."""
    size = torch.stack([w.detach() for w in weights]).abs_()
    if alive and dim is not None:
        own = size.topk(alive, dim + 1, sorted=False).indices
        size.scatter_(dim + 1, own, math.inf)
    flat = size.flatten(1)
    least = flat.kthvalue(flat.shape[1] - k + 1, 1).values
    for w, here, at in zip(weights, size, least, strict=True):
        w.detach().masked_fill_(here < at, 0.0)
