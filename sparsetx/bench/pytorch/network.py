"""The network of section 2.1 in PyTorch, with AbsTopK, and with masks on its nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparsetx.bench.pytorch.selection import keep_largest

EPS = 1.1920929e-07  # float32's machine epsilon
STD = 0.02
# What a node site does to its activations: m * x + (1 - m) * mean, as (m, that part).
Masks = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Size:
    """The shape of a network."""

    vocab: int
    context: int
    layers: int
    d_model: int
    heads: int
    d_head: int
    d_mlp: int
    kept: float | None = None  # fraction that AbsTopK keeps; None: no AbsTopK

    @property
    def d_attn(self) -> int:
        return self.heads * self.d_head

    @property
    def widths(self) -> tuple[int, ...]:
        """Nodes of a layer's sites, in the order of computation."""
        read, heads = self.d_model, self.d_attn
        return (read, heads, heads, heads, read, read, self.d_mlp, read)


class Block(nn.Module):  # type: ignore[misc, unused-ignore]
    """Attention and an MLP, each reading the normalised residual and adding to it."""

    def __init__(self, size: Size):
        super().__init__()
        self.size, d = size, size.d_model
        self.attn_norm = nn.RMSNorm(d, EPS)
        self.qkv = nn.Linear(d, 3 * size.d_attn)
        self.o = nn.Linear(size.d_attn, d)
        self.mlp_norm = nn.RMSNorm(d, EPS)
        self.fc = nn.Linear(d, size.d_mlp)
        self.proj = nn.Linear(size.d_mlp, d)
        for linear in (self.qkv, self.o, self.fc, self.proj):
            write = linear in (self.o, self.proj)
            std = STD / (2 * size.layers) ** 0.5 if write else STD
            nn.init.normal_(linear.weight, std=std)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        s = self.size
        rows, length, _ = x.shape
        read = self.hold(0, self.attn_norm(x), masks)
        parts = self.qkv(read).view(rows, length, 3, s.d_attn)
        parts = self.select(parts).unbind(2)
        q, k, v = (
            masked(i + 1, part, masks)
            .view(rows, length, s.heads, s.d_head)
            .transpose(1, 2)
            for i, part in enumerate(parts)
        )
        mix = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        mix = mix.transpose(1, 2).reshape(rows, length, s.d_attn)
        x = x + self.hold(4, self.o(mix), masks)
        read = self.hold(5, self.mlp_norm(x), masks)
        neuron = self.hold(6, F.gelu(self.fc(read)), masks)
        return x + self.hold(7, self.proj(neuron), masks)

    def hold(self, site: int, x: Tensor, masks: Masks | None) -> Tensor:
        return masked(site, self.select(x), masks)

    def select(self, x: Tensor) -> Tensor:
        if self.size.kept is None:
            return x
        return keep_largest(x, int(self.size.kept * x.shape[-1]))


def masked(site: int, x: Tensor, masks: Masks | None) -> Tensor:
    if masks is None:
        return x
    keep, rest = masks[site]
    return torch.addcmul(rest, x, keep)


class Network(nn.Module):  # type: ignore[misc, unused-ignore]
    """`recompute`: gradient checkpointing of every block."""

    def __init__(self, size: Size, recompute: bool = False):
        super().__init__()
        self.recompute = recompute
        self.embed = nn.Embedding(size.vocab, size.d_model)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.d_model, EPS)
        self.unembed = nn.Linear(size.d_model, size.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=STD)
        nn.init.normal_(self.unembed.weight, std=STD)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            if self.recompute:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.unembed(self.norm(x))

    def loss(self, rows: Tensor) -> Tensor:
        """Mean cross-entropy of the next token; rows hold one token more."""
        logits: Tensor = self(rows[:, :-1]).flatten(0, 1)
        return F.cross_entropy(logits, rows[:, 1:].flatten())

    def at(self, tokens: Tensor, place: Tensor, masks: Sequence[Masks]) -> Tensor:
        """Logits at one place of each row, under masks."""
        x = self.embed(tokens)
        for block, here in zip(self.blocks, masks, strict=True):
            x = block(x, here)
        return self.unembed(self.norm(x[torch.arange(len(x)), place]))
