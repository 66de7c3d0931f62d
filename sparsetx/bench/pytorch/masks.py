"""Training a mask in PyTorch (section 2.3): the paper's procedure, one mask at a time.

A node is kept where its score is above 0; gradients pass through a sigmoid. Nodes that
are not kept have their mean.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sparsetx.bench.pytorch.network import Masks, Network

BETA1, EPS, CLIP, WARMUP = 0.9, 1e-8, 1.0, 0.05


@dataclass(frozen=True)
class Settings:
    """Of one search."""

    k_coef: float
    lr: float
    init_bias: float
    init_scale: float
    temperature: float
    weight_decay: float
    beta2: float


@dataclass(frozen=True)
class Pool:
    """Prompts; rows 2i and 2i + 1 are a pair."""

    tokens: Tensor
    place: Tensor
    answers: Tensor  # [row, 2]: right, wrong

    def batch(self, pairs: int) -> "Pool":
        chosen = torch.randint(len(self.tokens) // 2, (pairs, 1))
        rows = (2 * chosen + torch.arange(2)).flatten()
        return Pool(self.tokens[rows], self.place[rows], self.answers[rows])


class Search:
    """`means`: [layer, all nodes of a layer], sites in the order of computation."""

    def __init__(self, network: Network, means: Tensor, settings: Settings):
        self.network, self.means, self.settings = network, means, settings
        self.widths = network.blocks[0].size.widths
        for weight in network.parameters():
            weight.requires_grad_(False)

    def run(
        self, pool: Pool, pairs: int, steps: int, scores: Tensor | None = None
    ) -> Tensor:
        """Scores after so many steps, from random ones or those given."""
        s = self.settings
        if scores is None:
            scores = s.init_bias + s.init_scale * torch.randn_like(self.means)
        tau = scores.clamp(-1, 1).requires_grad_()
        first, second = torch.zeros_like(tau), torch.zeros_like(tau)
        for n in range(1, steps + 1):
            (gradient,) = torch.autograd.grad(self.objective(tau, pool, pairs), tau)
            gradient = gradient * (CLIP / (gradient.norm() + 1e-12)).clamp(max=1.0)
            first.lerp_(gradient, 1 - BETA1)
            second.lerp_(gradient.square(), 1 - s.beta2)
            done = n / steps
            rate = s.lr * min(done / WARMUP, 1.0) * max(1.0 - done, 0.0)
            with torch.no_grad():
                spread = (second / (1 - s.beta2**n)).sqrt_() + EPS
                push = first / (1 - BETA1**n) / spread + s.weight_decay * tau
                tau.sub_(rate * push).clamp_(-1, 1)
        return tau.detach()

    def objective(self, tau: Tensor, pool: Pool, pairs: int) -> Tensor:
        soft = (tau / self.settings.temperature).sigmoid()
        keep = soft + ((tau > 0).to(soft.dtype) - soft).detach()
        own = pool.batch(pairs)
        logits = self.network.at(own.tokens, own.place, self.masks(keep))
        right, wrong = logits.gather(1, own.answers).unbind(1)
        return F.softplus(wrong - right).mean() + self.settings.k_coef * keep.sum()

    def masks(self, keep: Tensor) -> list[Masks]:
        """Of every layer and site."""
        rest = (1 - keep) * self.means
        parts = keep.split(self.widths, 1), rest.split(self.widths, 1)
        layers = range(len(keep))
        return [[(a[i], b[i]) for a, b in zip(*parts, strict=True)] for i in layers]
