"""The configurations on which the model is held against its twin.

`FACTORS` are the choices that the released format offers. `grid()` is their whole
product; `pairwise()` is a handful of its rows in which every two values of two
factors meet; `one_at_a_time()` has what pairs would leave unseen, such as one site
standing in for another.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tests.torch.twin import Arrays, Twin, random_state

ATTENTION_SITES = ["attn_in", "attn_q", "attn_k", "attn_v", "attn_out"]
NODE_SITES = [*ATTENTION_SITES, "mlp_in", "mlp_neuron", "mlp_out"]
RESIDUAL_SITES = ["resid_post_attn", "resid_post_mlp"]
SITES = {"all": NODE_SITES, "some": ["attn_in", "attn_k", "attn_out", "mlp_neuron"]}
FACTORS: dict[str, tuple[Any, ...]] = {
    "sink": (False, True),
    "bigram": (False, True),
    "positions": ("none", "added", "concatenated"),
    "afrac": (None, 0.25, 0.5),
    "activation": ("gelu", "relu"),
    "residual_topk": (False, True),
    "residual_activation": ("identity", "relu"),
    "final_bias": (False, True),
    "sites": ("all", "some"),
}
IDLE_WITHOUT_AFRAC = {"residual_topk", "sites"}
BATCH = 3
# Far above float32 rounding (about 1e-6 here), so that no choice hangs on it.
MARGIN = 1e-5


@dataclass(frozen=True)
class Case:
    """A released config, what its state dict holds beyond it, and a safe seed."""

    name: str
    config_json: str
    positions: bool
    final_bias: bool
    embed_scale: float = 1.0
    bits: int = 24  # of each weight's mantissa; fewer take less room in a file

    @property
    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.config_json))

    def at_seed(self, seed: int) -> tuple[Arrays, np.ndarray]:
        config, rng = self.config, np.random.default_rng([seed, 1])
        state = random_state(config, seed)
        state = {name: rounded(x, self.bits) for name, x in state.items()}
        state["transformer.wte.weight"] *= np.float32(self.embed_scale)
        if not self.positions:  # the release keeps a table of zeros
            state["transformer.wpe.weight"][:] = 0
        if not self.final_bias:
            del state["final_logits_bias"]
        shape = (BATCH, config["block_size"])
        return state, rng.integers(0, config["vocab_size"], shape, dtype=np.int32)

    @cached_property
    def inputs(self) -> tuple[Arrays, np.ndarray]:
        """State and tokens of the first seed at which no choice is a near tie."""
        for seed in itertools.count():
            state, tokens_BL = self.at_seed(seed)
            if margin(self.config, state, tokens_BL) > MARGIN:
                return state, tokens_BL
        raise AssertionError


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """x as float32 with only `bits` bits of mantissa."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits).astype("f4")


def margin(config: dict[str, Any], state: Arrays, tokens_BL: np.ndarray) -> float:
    twin = Twin(config, state, torch.float64)
    with torch.no_grad():
        twin.logits(torch.tensor(tokens_BL, dtype=torch.int64))
    return twin.margin


def released_config(**changes: Any) -> dict[str, Any]:
    """A small config in the released keys. Heads are not d_model / n_head wide."""
    return {
        "block_size": 12,
        "vocab_size": 37,
        "n_layer": 2,
        "n_head": 3,
        "d_head": 6,
        "d_model": 24,
        "d_mlp": 40,
        "dropout": 0.0,
        "bias": True,
        "ln_bias": True,
        "rms_norm": True,
        "activation_type": "gelu",
        "residual_activation_type": "identity",
        "afrac": None,
        "afrac_loctypes": ",".join(NODE_SITES),
        "tied_unembed": False,
        "enable_bigram_table": False,
        "learnable_bigram_table": False,
        "d_pos_emb": None,
        "sinusoidal_cat_pos_emb": False,
        "sink": False,
        "flash": True,
    } | changes


def case(**factors: Any) -> Case:
    """The case of one row of factors."""
    row = {name: values[0] for name, values in FACTORS.items()} | factors
    sites = SITES[row["sites"]] + RESIDUAL_SITES * row["residual_topk"]
    config = released_config(
        sink=row["sink"],
        enable_bigram_table=row["bigram"],
        learnable_bigram_table=row["bigram"],
        # Of 24 + 7 channels a quarter is 7.75 and a half 15.5: k must be rounded down.
        d_pos_emb=7 if row["positions"] == "concatenated" else None,
        afrac=row["afrac"],
        activation_type=row["activation"],
        residual_activation_type=row["residual_activation"],
        afrac_loctypes=",".join(sites),
    )
    name = "-".join(f"{key}:{value}" for key, value in row.items())
    return Case(name, json.dumps(config), row["positions"] != "none", row["final_bias"])


def rows() -> Iterator[dict[str, Any]]:
    for values in itertools.product(*FACTORS.values()):
        yield dict(zip(FACTORS, values, strict=True))


def pairs(row: dict[str, Any]) -> set[tuple[Any, ...]]:
    """The pairs of values that meet in a row; again, marked, where both have effect."""
    met = set(itertools.combinations(row.items(), 2))
    idle = IDLE_WITHOUT_AFRAC if row["afrac"] is None else set()
    return met | {("felt", a, b) for a, b in met if not {a[0], b[0]} & idle}


def pairwise_rows() -> list[dict[str, Any]]:
    """Greedily: the row in which the most pairs meet for the first time, and again."""
    missing = set().union(*map(pairs, rows()))
    chosen = []
    while missing:
        best = max(rows(), key=lambda row: len(pairs(row) & missing))
        missing -= pairs(best)
        chosen.append(best)
    return chosen


def pairwise() -> list[Case]:
    return [case(**row) for row in pairwise_rows()]


def grid() -> Iterator[Case]:
    return (case(**row) for row in rows())


def one_at_a_time() -> list[Case]:
    """AbsTopK at one site only; and an embedding so small that the norm's eps shows."""
    common = {
        "sink": True,
        "enable_bigram_table": True,
        "learnable_bigram_table": True,
        "d_pos_emb": 7,
        "afrac": 0.25,
    }
    alone = [
        Case(
            site,
            json.dumps(released_config(**common, afrac_loctypes=site)),
            positions=True,
            final_bias=True,
        )
        for site in NODE_SITES + RESIDUAL_SITES
    ]
    plain = json.dumps(released_config())
    return [*alone, Case("faint", plain, False, False, embed_scale=1e-3)]
