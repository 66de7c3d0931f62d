"""Donors: what the whole model computes on other prompts, for resampling ablation.

Mean ablation moves a node to one value that never means anything. Resampled, it takes
the value that it has on another prompt, where it may say the opposite. All nodes
outside the circuit take theirs from one donor (*together*), so that what they say fits
together; or each from a donor of its own (*apart*).

Values are taken at the same position. A few dozen prompts are enough donors for any
number of rows, and their activations are computed once.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import ablations
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.taps import Rows

MOST = 64  # donors
ROOM = 2**28  # bytes for their activations


def count(config: ModelConfig, length: int, rows: int) -> int:
    """How many of the rows become donors: an even number, as many as there is room
    for."""
    each = 4 * length * nodes.count(config)
    return max(2, min(MOST, rows, ROOM // max(each, 1)) // 2 * 2)


def of(
    config: ModelConfig, params: Any, tokens_BL: jax.Array, sites: Sequence[str]
) -> Nodes:
    """{site: [layer, donor, L, width]}, at the ends [donor, L, width]: the activations
    of rows spread over a pool."""
    rows = len(tokens_BL)
    many = count(config, tokens_BL.shape[1], rows)
    # Pairs stay whole: both sides of what decides are among the donors.
    pair = np.linspace(0, rows // 2 - 1, many // 2).round().astype(int)
    chosen = (2 * pair[:, None] + np.arange(2)).ravel()
    return ablations.activations(config, params, tokens_BL[chosen], tuple(sites))


def size(donors: Nodes) -> int:
    """How many donors there are."""
    site, x = next(iter(donors.items()))
    return int(x.shape[0 if site in nodes.END_SITES else 1])


def apart(donors: Nodes, key: jax.Array) -> Nodes:
    """The same values, every node's moved on by a number of donors of its own: no two
    nodes of a row come from one prompt, but by chance."""
    found = {}
    for i, (site, x) in enumerate(sorted(donors.items())):
        own, many = jax.random.fold_in(key, i), x.shape[-3]
        turn = jax.random.randint(own, (*x.shape[:-3], 1, 1, x.shape[-1]), 0, many)
        row = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 3)
        found[site] = jnp.take_along_axis(x, (row + turn) % many, axis=-3)
    return found


def both(donors: Nodes, key: jax.Array) -> Nodes:
    """Donors as they are, and behind them as many apart."""
    turned = apart(donors, key)
    return {s: jnp.concatenate([x, turned[s]], -3) for s, x in donors.items()}


def given(donors: Nodes, donor_B: jax.Array) -> Nodes:
    """{site: [layer, B, L, width]}: what each row is given."""
    return {s: jnp.take(x, donor_B, axis=x.ndim - 3) for s, x in donors.items()}


def rows(donors: Nodes, donor_B: jax.Array) -> dict[str, Rows]:
    """The same for a tap, which gathers it where it is used."""
    return {
        site: Rows(x, jnp.broadcast_to(donor_B, (*x.shape[:-3], len(donor_B))))
        for site, x in donors.items()
    }
