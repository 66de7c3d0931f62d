"""Sparse training once more, in plain torch and double precision: an oracle for tests.

Written from the paper and its released script, not from sparsetx/train.py. Weights are
in the released names and shapes, [out, in]. Schedules are plain Python.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.torch.twin import Arrays, Config, Twin

MATRICES = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
TABLES = ("transformer.wte.weight", "lm_head.weight")


@dataclass(frozen=True)
class Recipe:
    """What section 2.2 leaves open, in its own words."""

    steps: int
    lr: float
    eps: float
    weight_decay: float
    block: float  # final kept fraction
    embed: float
    alive: int
    clip: bool = False  # else the gradient's RMS is always divided out
    anneal: str = "linear"
    anneal_end: float = 0.5
    abrupt: bool = False  # embeddings are cut where the annealing starts
    sparse_biases: bool = False
    sharkfin: bool = True
    positions: bool = False  # the release has a table of zeros where there are none


class Trainer:
    def __init__(self, config: Config, state: Arrays, recipe: Recipe):
        self.config, self.recipe = config, recipe
        self.w = {n: torch.tensor(a, dtype=torch.float64) for n, a in state.items()}
        skipped = () if recipe.positions else ("transformer.wpe.weight",)
        self.names = [n for n in self.w if n not in skipped]
        self.m = {n: torch.zeros_like(self.w[n]) for n in self.names}
        self.v = {n: torch.zeros_like(self.w[n]) for n in self.names}
        self.done = 0

    def step(self, tokens: np.ndarray) -> float:
        """One update on rows of tokens; the loss before it."""
        recipe = self.recipe
        loss, gradients = self.gradients(tokens)
        count = sum(g.numel() for g in gradients.values())
        rms = math.sqrt(
            sum(float(g.square().sum()) for g in gradients.values()) / count
        )
        scale = 1 / max(rms, 1.0) if recipe.clip else 1 / (rms + 1e-5)
        self.done += 1
        t = self.done / recipe.steps
        lr = self.rate(t)
        for name, g in gradients.items():
            g = g * scale
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.95 * self.v[name] + 0.05 * g.square()
            m = self.m[name] / (1 - 0.9**self.done)
            v = self.v[name] / (1 - 0.95**self.done)
            self.w[name] = self.w[name] - lr * m / (v.sqrt() + recipe.eps)
        for name in self.names:
            self.w[name] = self.projected(name, self.w[name], t)
            if name.endswith(MATRICES) or name in TABLES:
                self.w[name] = self.w[name] * (1 - lr * recipe.weight_decay)
        return loss

    def gradients(self, tokens: np.ndarray) -> tuple[float, dict[str, Any]]:
        twin = Twin(self.config, {}, torch.float64)
        twin.w = {
            n: w.clone().requires_grad_(n in self.names) for n, w in self.w.items()
        }
        rows = torch.tensor(tokens, dtype=torch.int64)
        nats = twin.logits(rows[:, :-1]).log_softmax(-1)
        loss = -nats.gather(-1, rows[:, 1:, None]).mean()
        leaves = [twin.w[n] for n in self.names]
        return loss.item(), dict(
            zip(self.names, torch.autograd.grad(loss, leaves), strict=True)
        )

    def rate(self, t: float) -> float:
        rate = self.recipe.lr * min(t / 0.01, 1.0, 1 - (t - 0.01) / 0.99)
        if not self.recipe.sharkfin:
            return rate
        return rate * math.sqrt(self.recipe.block / self.fraction(self.recipe.block, t))

    def fraction(self, final: float, t: float) -> float:
        end = self.recipe.anneal_end
        u = min(max((t - 0.01) / (end - 0.01), 0.0), 1.0)
        if self.recipe.anneal == "exponential":
            return final**u
        if self.recipe.anneal == "power":
            return final + (1 - final) * (1 - u) ** 3
        return 1 + (final - 1) * u

    def projected(self, name: str, w: torch.Tensor, t: float) -> torch.Tensor:
        recipe = self.recipe
        if name in TABLES:
            cut = recipe.embed if t > 0.01 else 1.0
            share = cut if recipe.abrupt else self.fraction(recipe.embed, t)
            return largest(w, math.floor(share * w.numel() + 1e-6), 0, 0)
        if name.endswith(MATRICES):
            k = math.floor(self.fraction(recipe.block, t) * w.numel() + 1e-6)
            # Rows of c_attn and c_fc, columns of the two c_proj: a neuron's own.
            axis = 1 if name.endswith("c_proj.weight") else 0
            return largest(w, k, recipe.alive, axis)
        if recipe.sparse_biases and name.endswith(".bias"):
            k = math.floor(self.fraction(recipe.block, t) * w.numel() + 1e-6)
            return largest(w, k, 0, 0)
        return w


def largest(w: torch.Tensor, k: int, alive: int, axis: int) -> torch.Tensor:
    """Exactly k entries, among them the `alive` largest of every slice along `axis`."""
    size = w.abs()
    kept = torch.zeros(w.shape, dtype=torch.bool)
    if alive:
        rows = size.movedim(axis, 0)
        own = rows.reshape(len(rows), -1).topk(alive, dim=1).indices
        kept.movedim(axis, 0).scatter_(1, own, True)
    rest = size.masked_fill(kept, -1.0).flatten()
    more = rest.topk(k - int(kept.sum())).indices
    kept.view(-1)[more] = True
    return torch.where(kept, w, torch.zeros_like(w))


def differences(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, torch.Tensor]
) -> Iterator[tuple[float, str]]:
    """(largest absolute difference, name) of every tensor."""
    for name, w in wanted.items():
        yield float(np.abs(found[name] - w.numpy()).max()), name
