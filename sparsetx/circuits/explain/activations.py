"""Run a circuit on prompts: its activations, and its margins with single nodes changed.

One program serves all circuits of a model, the whole model and running text: it returns
every site, for as many prompts at a time as memory allows; the last prompt is repeated
to fill up the last batch. Changes are made in the circuit's own weights
(measure/inference), where it has that form: that needs no program, and takes less time
than the tapped model.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes, taps
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.measure import ablations, inference, questions
from sparsetx.circuits.measure.inference.changes import Change, Recorded
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Node, Nodes
from sparsetx.run import check_ids

ROWS = 32  # prompts at a time, at most: as many as circuits are explained on
ROOM = 2**26  # bytes for the activations of one batch of prompts
# Changes that the tapped model makes take a whole pass each, and programs to compile.
SLOWER = inference.SLOWER // 4
AT_ONCE = 4  # changes side by side on a device
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
    kept = kept_nodes(config, own.keep)
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


def kept_nodes(config: ModelConfig, keep: Nodes) -> list[Node]:
    """In the order of computation."""
    sites = tuple(keep)
    found = np.flatnonzero(nodes.flatten(config, keep, sites) > 0.5)
    return [nodes.node_at(config, int(i), sites) for i in found]


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


# --- changes --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Prompted:
    """A circuit, or a mask of a model, and the prompts that it is examined on."""

    config: ModelConfig
    params: Any
    keep: Nodes
    means: Nodes
    asked: Question

    @functools.cached_property
    def kept(self) -> list[Node]:
        """The kept nodes, in the order of computation."""
        return kept_nodes(self.config, self.keep)

    @functools.cached_property
    def taken(self) -> Taken:
        return taken(self, self.asked)

    @functools.cached_property
    def recorded(self) -> Recorded | None:
        """Its own weights, run once; None where it has no such form."""
        if nodes.FINAL in self.keep:
            return None
        given = self.config, self.params, self.keep, self.means
        folded = inference.fold(*given, slower=SLOWER)
        if folded is None:
            return None
        return Recorded(folded, self.asked.tokens_BL, self.asked.position_B)

    @property
    def margin_B(self) -> Array:
        """The circuit's margins, nothing changed."""
        if self.recorded is not None:
            only_B: Array = self.changed([None])[0]
            return only_B
        rows = np.arange(len(self.asked))
        found: Array = self.taken.margin_BL[rows, np.asarray(self.asked.position_B)]
        return found

    def changed(self, changes: Sequence[Change | None]) -> Array:
        """[N, B] margins with each of these changes."""
        assert self.recorded is not None
        found = np.zeros((len(changes), len(self.asked)), np.float32)
        for row, change in zip(found, changes, strict=True):
            row[:] = _margins(self.asked, self.recorded.logits(change))
        return found

    def held(self, values: Sequence[tuple[Node, Array]]) -> Array:
        """[N, B] margins with single kept nodes held at other values, [B, L]."""
        if self.recorded is not None:
            return self.changed([self.recorded.held(*own) for own in values])
        devices = tuple(jax.local_devices())
        program, many = _of_nodes(self.config, devices), AT_ONCE * len(devices)
        nothing = {site: np.zeros_like(x) for site, x in self.keep.items()}
        given = self.params, self.asked, self.keep, self.means
        found = [np.zeros((0, len(self.asked)), np.float32)]
        for which in mesh.portions(len(values), many):
            where = nodes.repeated(nothing, many)
            for row, number in enumerate(which):
                nodes.put(where, row, values[number][0], 1)
            values_NBL = np.stack([values[number][1] for number in which])
            found.append(np.asarray(program(*given, where, values_NBL)))
        return np.concatenate(found)[: len(values)]


_margins = jax.jit(questions.margin_of)


@functools.cache
def _of_nodes(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    """The program: margins with single nodes replaced, one node at a time."""
    wide = 1 if devices[0].platform == "cpu" else AT_ONCE

    def all_of(
        params: Any,
        asked: Question,
        keep: Nodes,
        means: Nodes,
        where: Nodes,
        values_NBL: jax.Array,
    ) -> jax.Array:
        def margins(one: tuple[Nodes, jax.Array]) -> jax.Array:
            node, value_BL = one
            layers = (config.n_layer, *value_BL.shape, 1)
            values = {
                site: value_BL[..., None]
                if site in nodes.END_SITES
                else jnp.broadcast_to(value_BL[..., None], layers)
                for site in node
            }
            replaced = taps.interchange(node, values)
            tap = taps.compose(ablations.mean(keep, means), replaced)
            return ablations.margins(config, params, asked, tap)

        return jnp.asarray(jax.lax.map(margins, (where, values_NBL), batch_size=wide))

    return mesh.OverLanes(all_of, devices, whole=4)
