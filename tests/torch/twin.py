"""The model once more, in plain torch: an oracle for the tests, and for them only.

It is written from the paper's description and the released file format, not from
sparsetx/model.py, so that an error has to be made twice to pass unseen. It reads a
state dict in the released names and shapes and is driven by the released config.

Letters: B batch, L position, M earlier position, D residual, H head, K head width,
V vocabulary; R is what a block reads: D, or D plus the position channels.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

Config = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
EPS = float(np.finfo(np.float32).eps)  # of every RMSNorm, whatever the dtype


class Twin:
    """The released model. `margin` says how near its last forward came to a choice.

    AbsTopK and relu are discontinuous (in value and in slope): where two magnitudes
    nearly tie, or a relu input is nearly 0, two correct programs may part. `margin` is
    the least such distance, relative to the largest entry; exact zeros do not count,
    because they are exact in every program.
    """

    def __init__(self, config: Config, state: Arrays, dtype=torch.float32) -> None:
        self.config = config
        self.w = {name: torch.tensor(a, dtype=dtype) for name, a in state.items()}
        self.sites = set((config.get("afrac_loctypes") or "").split(","))
        self.margin = math.inf

    def logits(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        w, n_tokens = self.w, tokens_BL.shape[1]
        self.margin = math.inf
        x_BLD = w["transformer.wte.weight"][tokens_BL]
        positions_LP = w["transformer.wpe.weight"][:n_tokens]
        if self.config.get("d_pos_emb"):
            positions_BLP = positions_LP.expand(len(tokens_BL), -1, -1)
        else:
            x_BLD, positions_BLP = x_BLD + positions_LP, None
        for layer in range(self.config["n_layer"]):
            at = f"transformer.h.{layer}"
            read_BLR = self.read(at, "1", "attn_in", x_BLD, positions_BLP)
            x_BLD = self.add("resid_post_attn", x_BLD, self.attention(at, read_BLR))
            read_BLR = self.read(at, "2", "mlp_in", x_BLD, positions_BLP)
            x_BLD = self.add("resid_post_mlp", x_BLD, self.mlp(at, read_BLR))
        x_BLD = self.norm("transformer.ln_f", x_BLD)
        tied = self.config.get("tied_unembed")
        unembed_VD = w["transformer.wte.weight" if tied else "lm_head.weight"]
        logits_BLV = x_BLD @ unembed_VD.T
        if self.config["enable_bigram_table"]:
            logits_BLV = logits_BLV + w["bigram_table"][tokens_BL]
        return logits_BLV + w.get("final_logits_bias", 0.0)

    def read(self, at, which, site, x_BLD, positions_BLP):
        read_BLR = self.norm(f"{at}.ln_{which}", x_BLD)
        if positions_BLP is not None:
            positions_BLP = self.norm(f"{at}.ln_p{which}", positions_BLP)
            read_BLR = torch.cat([read_BLR, positions_BLP], dim=-1)
        return self.keep(site, read_BLR)

    def attention(self, at, read_BLR):
        heads, width = self.config["n_head"], self.config["d_head"]
        q, k, v = self.linear(f"{at}.attn.c_attn", read_BLR).chunk(3, dim=-1)
        q, k, v = (
            self.keep(f"attn_{name}", x).unflatten(-1, (heads, width)).transpose(1, 2)
            for name, x in zip("qkv", (q, k, v), strict=True)
        )
        scores_BHLM = q @ k.transpose(-1, -2) / math.sqrt(width)
        n_tokens = read_BLR.shape[1]
        future_LM = torch.ones(n_tokens, n_tokens, dtype=torch.bool).triu(1)
        # No maximum is subtracted: scores are small here, and this is the definition.
        weights_BHLM = scores_BHLM.masked_fill(future_LM, -math.inf).exp()
        total_BHL1 = weights_BHLM.sum(-1, keepdim=True)
        if self.config.get("sink"):
            sink_H = self.w[f"{at}.attn.attn_imp.sink_logit"]
            total_BHL1 = total_BHL1 + sink_H.exp()[:, None, None]
        mix_BLHK = (weights_BHLM / total_BHL1 @ v).transpose(1, 2)
        out_BLD = self.linear(f"{at}.attn.c_proj", mix_BLHK.flatten(-2))
        return self.keep("attn_out", out_BLD)

    def mlp(self, at, read_BLR):
        x = self.linear(f"{at}.mlp.c_fc", read_BLR)
        if self.config["activation_type"] == "relu":
            x = self.relu(x)
        else:
            x = x * (1 + torch.erf(x / math.sqrt(2))) / 2
        x = self.keep("mlp_neuron", x)
        return self.keep("mlp_out", self.linear(f"{at}.mlp.c_proj", x))

    def add(self, site, x_BLD, out_BLD):
        x_BLD = x_BLD + out_BLD
        if self.config["residual_activation_type"] == "relu":
            x_BLD = self.relu(x_BLD)
        return self.keep(site, x_BLD)

    def norm(self, name, x):
        return (
            x
            / (x.square().mean(-1, keepdim=True) + EPS).sqrt()
            * self.w[f"{name}.weight"]
        )

    def linear(self, name, x):
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def relu(self, x):
        near = x.detach().abs()
        near = near[near > 0] / near.max()
        self.margin = min([self.margin, *near.min().reshape(-1).tolist()])
        return torch.where(x > 0, x, torch.zeros_like(x))

    def keep(self, site, x):
        """AbsTopK, where the config asks for it at this site."""
        afrac = self.config.get("afrac")
        if afrac is None or site not in self.sites:
            return x
        k = int(afrac * x.shape[-1])
        size, order = x.detach().abs().sort(dim=-1, descending=True, stable=True)
        gap = (size[..., k - 1] - size[..., k]) / size[..., 0]
        gap = gap[size[..., k - 1] > 0]
        self.margin = min([self.margin, *gap.reshape(-1).tolist()])
        return x * torch.zeros_like(x).scatter(-1, order[..., :k], 1.0)


def loss_and_gradients(
    config: Config, state: Arrays, tokens_BL: np.ndarray, dtype=torch.float32
) -> tuple[np.ndarray, float, Arrays]:
    """Logits, mean next-token cross-entropy (nats), its gradient in every weight."""
    twin = Twin(config, state, dtype)
    for weight in twin.w.values():
        weight.requires_grad_()
    tokens = torch.tensor(tokens_BL, dtype=torch.int64)
    logits_BLV = twin.logits(tokens)
    nats_BLV = logits_BLV[:, :-1].log_softmax(-1)
    loss = -nats_BLV.gather(-1, tokens[:, 1:, None]).mean()
    grads = torch.autograd.grad(loss, list(twin.w.values()), allow_unused=True)
    named = zip(twin.w.items(), grads, strict=True)
    return (
        logits_BLV.detach().numpy(),
        loss.item(),
        {n: np.zeros(w.shape) if g is None else g.numpy() for (n, w), g in named},
    )


def shapes(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of a released state dict, in their names, [out, in]."""
    D, V, N = config["d_model"], config["vocab_size"], config["d_mlp"]
    P, HK = config.get("d_pos_emb") or 0, config["n_head"] * config["d_head"]
    yield "transformer.wte.weight", (V, D)
    yield "transformer.wpe.weight", (config["block_size"], P or D)
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}"
        for half in "12":
            yield f"{at}.ln_{half}.weight", (D,)
            if P:
                yield f"{at}.ln_p{half}.weight", (P,)
        if config.get("sink"):
            yield f"{at}.attn.attn_imp.sink_logit", (config["n_head"],)
        for name, n_out, n_in in (
            ("attn.c_attn", 3 * HK, D + P),
            ("attn.c_proj", D, HK),
            ("mlp.c_fc", N, D + P),
            ("mlp.c_proj", D, N),
        ):
            yield f"{at}.{name}.weight", (n_out, n_in)
            if config["bias"]:
                yield f"{at}.{name}.bias", (n_out,)
    yield "transformer.ln_f.weight", (D,)
    yield "lm_head.weight", (V, D)
    if config["enable_bigram_table"]:
        yield "bigram_table", (V, V)
    yield "final_logits_bias", (V,)


def random_state(config: Config, seed: int) -> Arrays:
    """Weights so large that every part of the model moves the logits, of O(1)."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes(config):
        x = rng.standard_normal(shape)
        if ".ln_" in name:
            x = 1 + 0.2 * rng.uniform(-1, 1, shape)
        elif name.endswith(".bias"):
            x = 0.3 * x
        elif name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            x = x / math.sqrt(shape[1])
        elif name in ("lm_head.weight", "bigram_table", "final_logits_bias"):
            x = 0.3 * x
        state[name] = x.astype(np.float32)
    return state
