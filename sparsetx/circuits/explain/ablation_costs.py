"""Ablation costs of a circuit's nodes and edges, and other effects of its nodes.

cost  the nats by which the task's loss rises when one more node is set to its mean, or
        when what one weight carries is (section 2.3 ablates nodes; an edge is ablated
        as in effective_edges.py). Below zero where the circuit does better without it.
direct  what a write adds to the answers without passing through another node: its
        difference from its mean, times the last norm and the unembedding, towards the
        right answer and away from the wrong one, at the last token, in nats of logit.
interchange  how far the margin moves towards the other prompt's, as a fraction of the
        whole distance, when this node alone takes its value there
        (interchange_effects.py).

The loss is that of the circuit under mean ablation, uncalibrated.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes, taps
from sparsetx.circuits.explain import interchange_effects
from sparsetx.circuits.explain.interchange_effects import Prompted
from sparsetx.circuits.measure import ablations, edges, effective_edges
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import mesh, parameters
from sparsetx.nodes import Node, Nodes

AT_ONCE = 4  # masks side by side on a device
MOST = 2000  # edges that are ablated one by one: of more, those of steepest gradient

EdgeKey = tuple[Node, Node]


@dataclass(frozen=True)
class Costs:
    """Costs and effects by node and edge. What was not measured has no entry."""

    loss: float
    node: Mapping[Node, float] = field(default_factory=dict)
    edge: Mapping[EdgeKey, float] = field(default_factory=dict)
    direct: Mapping[Node, float] = field(default_factory=dict)
    interchange: Mapping[Node, float] = field(default_factory=dict)


def of(circuit: Any, asked: Question, most: int = MOST) -> Costs:
    """Measure a circuit on some prompts. `most`: edges that are ablated, at most."""
    prompted = Prompted(
        circuit.config, circuit.params, circuit.keep, circuit.means, asked
    )
    loss = float(_losses(prompted, [()])[0])
    alone = _losses(prompted, [(node,) for node in prompted.kept])
    by_node = dict(zip(prompted.kept, (alone - loss).tolist(), strict=True))
    by_edge = _of_edges(prompted, loss, most)
    return Costs(
        loss, by_node, by_edge, _direct(prompted), interchange_effects.of(prompted)
    )


def _losses(
    prompted: Prompted, removed: list[tuple[Node, ...]]
) -> npt.NDArray[np.float64]:
    """[N]: the loss with each of these groups of kept nodes ablated as well."""
    devices = tuple(jax.local_devices())
    program, many = _of_masks(prompted.config, devices), AT_ONCE * len(devices)
    found = []
    for which in mesh.portions(len(removed), many):
        tree = nodes.repeated(prompted.keep, many)
        for row, number in enumerate(which):
            for node in removed[number]:
                nodes.put(tree, row, node, 0)
        given = prompted.params, prompted.asked, prompted.means
        found.append(np.asarray(program(*given, tree)))
    if not found:
        return np.zeros(0)
    return np.concatenate(found)[: len(removed)].astype(np.float64)


@functools.cache
def _of_masks(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    def all_of(params: Any, asked: Question, means: Nodes, masks: Nodes) -> jax.Array:
        kind = functools.partial(ablations.mean, means=means)
        wide = 1 if devices[0].platform == "cpu" else AT_ONCE
        return ablations.losses(config, params, asked, masks, kind, at_once=wide)

    return mesh.OverLanes(all_of, devices, whole=3)


def _of_edges(prompted: Prompted, loss: float, most: int) -> dict[EdgeKey, float]:
    config, params = prompted.config, prompted.params
    found = list(edges.located(config, params, prompted.keep))
    if not found or not most:
        return {}
    bench = effective_edges.Bench(
        config, params, prompted.means, prompted.asked, prompted.keep, None,
        effective_edges.places(config, found),
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


def _direct(prompted: Prompted) -> dict[Node, float]:
    sites = [s for s in (*edges.WRITES, nodes.FINAL) if s in prompted.keep]
    parts = _direct_effects(
        prompted.config, tuple(sites), prompted.params, prompted.asked, prompted.keep,
        prompted.means,
    )  # fmt: skip
    return {
        node: float(
            parts[node.site][node.index]
            if node.site in nodes.END_SITES
            else parts[node.site][node.layer, node.index]
        )
        for node in prompted.kept
        if node.site in sites
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _direct_effects(
    config: ModelConfig,
    sites: tuple[str, ...],
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
) -> dict[str, jax.Array]:
    """{site: [layer, channel]}: mean direct effects at the last token."""
    tap = taps.compose(
        ablations.mean(keep, means), taps.capture([*sites, nodes.FINAL_NORM])
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
