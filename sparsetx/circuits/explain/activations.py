"""Run a circuit on prompts and collect the activations of its kept nodes.

One program serves all circuits of a model, the whole model and running text: it returns
every site, for as many prompts at a time as memory allows; the last prompt is repeated
to fill up the last batch.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes, taps
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Node, Nodes
from sparsetx.run import check_ids

ROWS = 32  # prompts at a time, at most: as many as circuits are explained on
ROOM = 2**26  # bytes for the activations of one batch of prompts
HEADS = (nodes.Q, nodes.K, nodes.V)
Array = npt.NDArray[np.floating]
Head = tuple[int, int]  # layer, head


class Masked(Protocol):
    """A circuit, or any model with a mask."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def params(self) -> Any: ...
    @property
    def keep(self) -> Nodes: ...
    @property
    def means(self) -> Nodes: ...


@dataclass(frozen=True, eq=False)
class Taken:
    """What kept nodes do on some prompts."""

    values: dict[Node, Array]  # [B, L]
    attention: dict[Head, Array]  # [B, L, L], of heads with a kept node
    norm_BL: Array  # by what the last norm multiplies
    margin_BL: Array  # as if the answer were read at each token


def of(
    circuit: Circuit,
    tokens_BL: Any,
    position_B: Any,
    pruned: bool = True,
    pairs: bool = True,
) -> Sample:
    """Activations in the circuit, all other nodes at their means; without `pruned`,
    in the whole model."""
    count = len(tokens_BL)
    asked = Question(  # of which only the activations are looked at
        check_ids(circuit.config, tokens_BL),
        jnp.asarray(position_B),
        jnp.zeros((count, 2), jnp.int32),
        jnp.ones(count),
        jnp.float32(0),
    )
    found = taken(circuit, asked, pruned)
    tokens_BL, position_B = np.asarray(tokens_BL), np.asarray(position_B)
    return Sample(tokens_BL, position_B, found.values, found.attention, pairs)


def taken(own: Masked, asked: Question, pruned: bool = True) -> Taken:
    """Run a model with a mask; without `pruned`, the whole model."""
    config, (count, length) = own.config, asked.tokens_BL.shape
    kept = nodes.kept(config, own.keep)
    heads = sorted({(n.layer, n.index // config.d_head) for n in kept if _inside(n)})
    keep = own.keep
    if not pruned:
        keep = {site: np.ones(x.shape, np.float32) for site, x in keep.items()}
    many = max(1, min(ROWS, ROOM // (4 * nodes.count(config) * length)))
    parts = []
    for rows in mesh.portions(count, many):
        margin_BL, all_of = _run(config, own.params, asked.rows(rows), keep, own.means)
        found = {site: np.asarray(x, np.float32) for site, x in all_of.items()}
        pattern = found[nodes.ATTN_PATTERN]
        parts.append(
            Taken(
                {node: _of_node(found, node) for node in kept},
                {(layer, h): pattern[layer][:, h].copy() for layer, h in heads},
                found[nodes.FINAL_NORM][..., 0],
                np.asarray(margin_BL),
            )
        )
    return Taken(
        {n: np.concatenate([p.values[n] for p in parts])[:count] for n in kept},
        {h: np.concatenate([p.attention[h] for p in parts])[:count] for h in heads},
        np.concatenate([part.norm_BL for part in parts])[:count],
        np.concatenate([part.margin_BL for part in parts])[:count],
    )


def _inside(node: Node) -> bool:
    return node.site in HEADS


def _of_node(found: dict[str, Array], node: Node) -> Array:
    every = found[node.site]
    own: Array = every if node.site in nodes.END_SITES else every[node.layer]
    return own[..., node.index].copy()


@functools.partial(jax.jit, static_argnums=0)
def _run(
    config: ModelConfig, params: Any, asked: Question, keep: Nodes, means: Nodes
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Margins as if the answer were read at each token, and all activations."""
    config = dataclasses.replace(config, unroll=False)  # less to compile
    sites = [*keep, nodes.ATTN_PATTERN, nodes.FINAL_NORM]
    tap = taps.compose(ablations.mean(keep, means), taps.capture(sites))
    logits_BLV, found = model.trace(config, params, asked.tokens_BL, tap)
    margin = functools.partial(questions.margin_of, asked)
    return jax.vmap(margin, 1, 1)(logits_BLV), found
