"""A training step of section 2.2 in PyTorch: the loss, its gradient's scale taken out,
Adam, the projection, and the decay.

The schedules are those of the run that it is measured against.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from sparsetx.bench.pytorch import selection
from sparsetx.bench.pytorch.network import Network, Size

RMS_FLOOR = 1e-5


@dataclass(frozen=True)
class Recipe:
    """How a run trains."""

    steps: int
    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    warmup: float  # in progress, as the next two
    start: float
    end: float
    block: float = 1.0  # final kept fraction of a block's matrices; 1: dense
    embed: float = 1.0
    alive: int = 4

    def fraction(self, final: float, t: float) -> float:
        part = min(max((t - self.start) / (self.end - self.start), 0.0), 1.0)
        return 1.0 + (final - 1.0) * part

    def rate(self, t: float) -> float:
        """Warm-up and decay, higher the fewer weights there are."""
        warm = t / self.warmup if self.warmup else 1.0
        decay = 1.0 - (t - self.warmup) / (1.0 - self.warmup)
        fin = math.sqrt(self.block / self.fraction(self.block, t))
        return self.lr * min(max(min(warm, decay), 0.0), 1.0) * fin


@dataclass(frozen=True)
class Budget:
    """Matrices of one shape, the final kept fraction of each, and the axis along which
    each of its neurons keeps a minimum."""

    weights: Sequence[Tensor]
    final: float
    dim: int | None


class Step:
    def __init__(self, size: Size, recipe: Recipe, recompute: bool = False):
        self.recipe = recipe
        self.network = Network(size, recompute)
        self.parameters = list(self.network.parameters())
        self.count = sum(p.numel() for p in self.parameters)
        self.adam = torch.optim.Adam(
            self.parameters, betas=recipe.betas, eps=recipe.eps, fused=True
        )
        self.budgets = list(self._budgets())
        self.matrices = [w for b in self.budgets for w in b.weights]
        self.done = 0

    def _budgets(self) -> Iterator[Budget]:
        """Linear layers hold [out, in]: neurons are rows of what they read by, and
        columns of what they write by."""
        net, recipe = self.network, self.recipe
        yield Budget([b.qkv.weight for b in net.blocks], recipe.block, 1)
        yield Budget([b.o.weight for b in net.blocks], recipe.block, 0)
        yield Budget([b.fc.weight for b in net.blocks], recipe.block, 1)
        yield Budget([b.proj.weight for b in net.blocks], recipe.block, 0)
        ends = [net.embed.weight, net.unembed.weight]
        yield Budget(ends, recipe.embed, None)

    def __call__(self, rows: Tensor) -> float:
        """One update; the loss before it, in nats."""
        loss = self.network.loss(rows)
        loss.backward()
        self.done += 1
        t = self.done / self.recipe.steps
        rate = self.recipe.rate(t)
        gradients = [p.grad for p in self.parameters]
        rms = float(get_total_norm(gradients)) / math.sqrt(self.count)
        if math.isfinite(rms):
            torch._foreach_mul_(gradients, 1.0 / (rms + RMS_FLOOR))
            self.adam.param_groups[0]["lr"] = rate
            self.adam.step()
            self.project(t)
            with torch.no_grad():
                torch._foreach_mul_(self.matrices, 1 - rate * self.recipe.weight_decay)
        self.adam.zero_grad()
        return float(loss.detach())

    def project(self, t: float) -> None:
        for budget in self.budgets:
            many = budget.weights[0].numel()
            k = int(self.recipe.fraction(budget.final, t) * many)
            if k < many:
                selection.project(budget.weights, k, self.recipe.alive, budget.dim)
