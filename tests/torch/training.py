"""Sparse training once more, in plain torch and double precision: an oracle for tests.

Written from the paper and its released script, not from sparsetx/train.py. Weights are
in the released names and shapes, [out, in]; schedules are plain Python. Double
precision, so that of two programs that differ only one has rounded.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tests.torch.twin import Arrays, Config, Twin

POSITIONS, FINAL_NORM = "transformer.wpe.weight", "transformer.ln_f.weight"
EMBED, UNEMBED = TABLES = ("transformer.wte.weight", "lm_head.weight")
# Their neurons or attention channels are rows here, or columns.
BY_ROW = ("attn.c_attn.weight", "mlp.c_fc.weight")
BY_COLUMN = ("attn.c_proj.weight", "mlp.c_proj.weight")


@dataclass(frozen=True)
class Recipe:
    """Section 2.2. Where the paper and the script differ, the script's way first."""

    block: float  # final kept fraction of a block's matrices
    embed: float  # of embedding and unembedding
    steps: int = 20
    lr: float = 1.28e-2
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 0.1
    weight_decay: float = 0.1
    warmup: float = 0.01  # in progress, as the next two
    start: float = 0.01
    end: float = 0.5
    anneal: str = "linear"
    clip: bool = False  # the gradient's RMS to 1; else it is always divided out
    sharkfin: bool = True
    alive: int = 4
    abrupt: bool = False  # embeddings are cut where the annealing starts
    sparse_biases: bool = False
    fixed: tuple[str, ...] = (POSITIONS,)  # not trained, and no part of the gradient

    def fraction(self, final: float, t: float) -> float:
        u = min(max((t - self.start) / (self.end - self.start), 0.0), 1.0)
        if self.anneal == "exponential":
            return final**u
        if self.anneal == "cubic":
            return final + (1 - final) * (1 - u) ** 3
        return 1 + (final - 1) * u

    def rate(self, t: float) -> float:
        decay = 1 - (t - self.warmup) / (1 - self.warmup)
        rate = self.lr * min(t / self.warmup, 1.0, decay)
        if not self.sharkfin:
            return rate
        return rate * math.sqrt(self.block / self.fraction(self.block, t))

    def budget(self, name: str, size: int, t: float) -> int | None:
        """Entries of a tensor that are kept at progress t; None where all are."""
        if name in TABLES:
            share = self.fraction(self.embed, t)
            if self.abrupt:
                share = self.embed if t > self.start else 1.0
        elif name.endswith(BY_ROW + BY_COLUMN) or (
            self.sparse_biases and name.endswith(".bias")
        ):
            share = self.fraction(self.block, t)
        else:
            return None
        return int(share * size)


@dataclass
class Seen:
    """What a run went through: without these, agreeing would show little.

    `margin` is the least distance of any choice from falling the other way: of AbsTopK
    (relative to the largest of the activations, which share their rounding) and of
    every projection (relative to the least weight that was kept).
    """

    margin: float = math.inf
    rescued: int = 0  # weights kept for a neuron's minimum that size alone would drop
    returned: int = 0  # weights that came back from zero
    clipped: list[bool] = field(default_factory=list)


class Trainer:
    def __init__(self, config: Config, state: Arrays, recipe: Recipe):
        self.config, self.recipe, self.seen = config, recipe, Seen()
        self.w = {n: torch.tensor(a, dtype=torch.float64) for n, a in state.items()}
        self.names = [n for n in self.w if n not in recipe.fixed]
        self.m = {n: torch.zeros_like(self.w[n]) for n in self.names}
        self.v = {n: torch.zeros_like(self.w[n]) for n in self.names}
        self.done = 0

    @property
    def t(self) -> float:
        return self.done / self.recipe.steps

    def step(self, rows: np.ndarray) -> tuple[float, float]:
        """One update; the loss and the gradient's RMS before it."""
        loss, gradients = self.gradients(rows)
        entries = torch.cat([g.flatten() for g in gradients.values()])
        rms = float(entries.square().mean().sqrt())
        self.seen.clipped.append(rms > 1)
        scale = 1 / (rms + 1e-5)
        if self.recipe.clip:
            scale = min(1.0, 1 / rms)
        self.done += 1
        lr = self.recipe.rate(self.t)
        for name, g in gradients.items():
            before = self.w[name]
            w = self.projected(name, before - lr * self.adam(name, g * scale))
            self.seen.returned += int(((before == 0) & (w != 0)).sum())
            if name.endswith(BY_ROW + BY_COLUMN) or name in TABLES:
                w = w - lr * self.recipe.weight_decay * w
            self.w[name] = w
        return loss, rms

    def gradients(self, rows: np.ndarray) -> tuple[float, dict[str, Any]]:
        twin = Twin(self.config, {}, torch.float64)
        twin.w = {n: w.clone().requires_grad_(n in self.m) for n, w in self.w.items()}
        tokens = torch.tensor(rows, dtype=torch.int64)
        nats = twin.logits(tokens[:, :-1]).log_softmax(-1)
        loss = -nats.gather(-1, tokens[:, 1:, None]).mean()
        self.seen.margin = min(self.seen.margin, twin.margin)
        found = torch.autograd.grad(loss, [twin.w[n] for n in self.names])
        return loss.item(), dict(zip(self.names, found, strict=True))

    def adam(self, name: str, g: torch.Tensor) -> torch.Tensor:
        b1, b2 = self.recipe.betas
        self.m[name] = b1 * self.m[name] + (1 - b1) * g
        self.v[name] = b2 * self.v[name] + (1 - b2) * g * g
        m = self.m[name] / (1 - b1**self.done)
        v = self.v[name] / (1 - b2**self.done)
        return m / (v.sqrt() + self.recipe.eps)

    def projected(self, name: str, w: torch.Tensor) -> torch.Tensor:
        k = self.recipe.budget(name, w.numel(), self.t)
        if k is None or k == w.numel():
            return w
        size = w.abs()
        own = torch.zeros_like(w, dtype=torch.bool)
        if self.recipe.alive and name.endswith(BY_ROW):
            own = self.minimum(size)
        if self.recipe.alive and name.endswith(BY_COLUMN):
            own = self.minimum(size.T).T
        # The places that are left go to the largest of the others.
        rest = size[~own].sort(descending=True).values
        left = k - int(own.sum())
        smallest = rest[left - 1] if left else math.inf
        kept = own | (size >= smallest)
        assert int(kept.sum()) == k
        plain = size >= size.flatten().sort(descending=True).values[k - 1]
        self.seen.rescued += int((kept & ~plain).sum())
        self.seen.margin = min(self.seen.margin, nearest(size, own, kept, name))
        return torch.where(kept, w, torch.zeros_like(w))

    def minimum(self, size: torch.Tensor) -> torch.Tensor:
        """The largest few of every row."""
        least = size.sort(dim=1, descending=True).values[:, self.recipe.alive - 1]
        return size >= least[:, None]


def nearest(
    size: torch.Tensor, own: torch.Tensor, kept: torch.Tensor, name: str
) -> float:
    """How much larger the least kept is than what it was preferred to, relative."""
    gaps = []
    if (kept & ~own).any():
        least = size[kept & ~own].min()
        gaps.append((least - size[~kept].max()) / least)
    if own.any():  # within a neuron: its last guarded weight, and its largest dropped
        axis = 0 if name.endswith(BY_COLUMN) else 1
        last = size.masked_fill(~own, math.inf).amin(axis)
        lost = size.masked_fill(kept, -math.inf).amax(axis)
        gaps.append(((last - lost) / last).min())
    return float(min(gaps))
