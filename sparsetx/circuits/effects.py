"""What each node and each edge of a circuit is worth, measured by running the model.

effect  how many nats the task's loss rises when one more node is put at its mean, or
        when what one weight carries is (section 2.3 ablates nodes; an edge is ablated
        as in effective.py). Below zero where the circuit would do better without.
direct  what a write says to the answers without passing another node: its difference
        from its mean, times the last norm and the unembedding, towards the right answer
        and away from the wrong one, at the last token, in nats of logit.
swap    how far the answer moves towards the other prompt's, as a part of the whole way,
        when this node alone is what it is there (swap.py).

Losses are those of the circuit under mean ablation, uncalibrated.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import mesh, model, nodes, parameters, taps
from sparsetx.circuits import ablate, edges, effective, swap
from sparsetx.circuits.question import Question
from sparsetx.circuits.specimen import Specimen
from sparsetx.config import ModelConfig
from sparsetx.nodes import Node, Nodes

AT_ONCE = 4  # masks side by side on a device
MOST = 2000  # edges that are ablated one by one; of more, those that matter most

EdgeKey = tuple[Node, Node]


@dataclass(frozen=True)
class Effects:
    """In nats. What was not measured is not there."""

    loss: float
    node: Mapping[Node, float] = field(default_factory=dict)
    edge: Mapping[EdgeKey, float] = field(default_factory=dict)
    direct: Mapping[Node, float] = field(default_factory=dict)
    swap: Mapping[Node, float] = field(default_factory=dict)


def of(circuit: Any, asked: Question, most: int = MOST) -> Effects:
    """Everything, of a circuit on some prompts."""
    specimen = Specimen(
        circuit.config, circuit.params, circuit.keep, circuit.means, asked
    )
    loss = float(_losses(specimen, [()])[0])
    alone = _losses(specimen, [(node,) for node in specimen.kept])
    by_node = dict(zip(specimen.kept, (alone - loss).tolist(), strict=True))
    by_edge = _of_edges(specimen, loss, most)
    return Effects(loss, by_node, by_edge, _direct(specimen), swap.shares(specimen))


def _losses(
    specimen: Specimen, gone: list[tuple[Node, ...]]
) -> npt.NDArray[np.float64]:
    """[N] losses, each without some of the kept nodes."""
    devices = tuple(jax.local_devices())
    program, many = _of_masks(specimen.config, devices), AT_ONCE * len(devices)
    found = []
    for which in mesh.portions(len(gone), many):
        tree = nodes.repeated(specimen.keep, many)
        for row, number in enumerate(which):
            for node in gone[number]:
                nodes.put(tree, row, node, 0)
        given = specimen.params, specimen.asked, specimen.means
        found.append(np.asarray(program(*given, tree)))
    if not found:
        return np.zeros(0)
    return np.concatenate(found)[: len(gone)].astype(np.float64)


@functools.cache
def _of_masks(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    def all_of(params: Any, asked: Question, means: Nodes, masks: Nodes) -> jax.Array:
        kind = functools.partial(ablate.mean, means=means)
        wide = 1 if devices[0].platform == "cpu" else AT_ONCE
        return ablate.losses(config, params, asked, masks, kind, at_once=wide)

    return mesh.OverLanes(all_of, devices, whole=3)


def _of_edges(specimen: Specimen, loss: float, most: int) -> dict[EdgeKey, float]:
    config, params = specimen.config, specimen.params
    found = list(edges.located(config, params, specimen.keep))
    if not found or not most:
        return {}
    bench = effective.Bench(
        config, params, specimen.means, specimen.asked, specimen.keep, None,
        effective.places(config, found),
    )  # fmt: skip
    chosen = np.arange(len(found))
    if len(found) > most:
        slopes = bench.slopes(np.ones(len(found), bool))
        chosen = np.sort(np.argsort(-slopes, kind="stable")[:most])
    out: dict[EdgeKey, float] = {}
    alive = np.ones((len(chosen), len(found)), bool)
    alive[np.arange(len(chosen)), chosen] = False
    for i, value in zip(chosen, bench.losses(alive), strict=True):
        edge = found[i][2]
        out[edge.src, edge.dst] = float(value) - loss
    return out


def _direct(specimen: Specimen) -> dict[Node, float]:
    sites = [s for s in (*edges.WRITES, nodes.FINAL) if s in specimen.keep]
    parts = _said(
        specimen.config, tuple(sites), specimen.params, specimen.asked, specimen.keep,
        specimen.means,
    )  # fmt: skip
    return {
        node: float(
            parts[node.site][node.index]
            if node.site in nodes.END_SITES
            else parts[node.site][node.layer, node.index]
        )
        for node in specimen.kept
        if node.site in sites
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _said(
    config: ModelConfig,
    sites: tuple[str, ...],
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
) -> dict[str, jax.Array]:
    """{site: [layer, channel]}, of the last token, the mean over prompts."""
    tap = taps.compose(
        ablate.mean(keep, means), taps.capture([*sites, nodes.FINAL_NORM])
    )
    _, taken = model.trace(config, params, asked.tokens_BL, tap)
    place_B = asked.position_B
    rows_B = jnp.arange(len(place_B))
    gain_D = params[parameters.FINAL_NORM][parameters.GAIN]
    w_DV = params[parameters.UNEMBED][parameters.W] * gain_D[:, None]
    right_BD, wrong_BD = (w_DV[:, asked.answers_B2[:, i]].T for i in (0, 1))
    one_token_BD = asked.sign_B[:, None] * right_BD
    towards_BD = jnp.where(asked.open > 0, one_token_BD, right_BD - wrong_BD)
    towards_BD *= taken[nodes.FINAL_NORM][rows_B, place_B]
    found = {}
    for site in sites:
        x_BD = taken[site][..., rows_B, place_B, :]
        above_BD = x_BD - means[site][..., None, :]
        weight_BD = towards_BD.reshape((1,) * (x_BD.ndim - 2) + towards_BD.shape)
        found[site] = jnp.mean(above_BD * weight_BD, -2)
    return found
