"""Interchange effects: what part of the decision each node of a circuit carries.

An ablation cost says whether a node is needed; an interchange effect says whether it
carries the information that decides. The node takes the value that it has in the other
prompt of the pair, at the same distance from the end, and nothing else is changed. Its
effect is how far that moves the margin towards the other prompt's, as a fraction of the
whole distance. A node with equal values in both prompts has an effect of 0, whatever
its ablation cost. Effects need not add up to 1: nodes on one path carry the same
decision one after another, some overshoot, and some work against it.

Departure: the paper ablates, and does not interchange single nodes.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes, taps
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Node, Nodes

AT_ONCE = 4  # nodes side by side on a device
CLEAR = 3.0  # standard errors over pairs by which the mean margin must exceed zero


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
        sites = tuple(self.keep)
        flat = nodes.flatten(self.config, self.keep, sites)
        found = np.flatnonzero(flat > 0.5)
        return [nodes.node_at(self.config, int(i), sites) for i in found]


def of(prompted: Prompted) -> dict[Node, float]:
    """{node: effect}, as a fraction of the mean margin over all prompts. Empty where
    that margin is not clearly above zero: fractions of it would only be noise."""
    kept, margin_B = prompted.kept, _margins(prompted)
    margin_P = margin_B.reshape(-1, 2).mean(1)
    error = margin_P.std() / np.sqrt(len(margin_P))
    if not kept or margin_P.mean() <= CLEAR * error:
        return {}
    values_NBL = _values_in_the_other_prompt(prompted)
    devices = tuple(jax.local_devices())
    program, many = _of_nodes(prompted.config, devices), AT_ONCE * len(devices)
    nothing = {site: np.zeros_like(x) for site, x in prompted.keep.items()}
    given = prompted.params, prompted.asked, prompted.keep, prompted.means
    found: dict[Node, float] = {}
    for which in mesh.portions(len(kept), many):
        where = nodes.repeated(nothing, many)
        for row, number in enumerate(which):
            nodes.put(where, row, kept[number], 1)
        after_NB = np.asarray(program(*given, where, values_NBL[which]))
        moved_N = np.mean(margin_B - after_NB, 1) / (2 * margin_B.mean())
        # The last nodes may be repeated to fill up the program: their values are equal.
        found |= {kept[n]: x for n, x in zip(which, moved_N.tolist(), strict=True)}
    return found


def _margins(prompted: Prompted) -> npt.NDArray[np.floating]:
    """[B]: the circuit's margins."""
    given = prompted.params, prompted.asked, prompted.keep, prompted.means
    return np.asarray(_margins_of(prompted.config, *given))


def _values_in_the_other_prompt(prompted: Prompted) -> npt.NDArray[np.floating]:
    """[node, B, L]: each kept node in the other prompt of the pair, at the same
    distance from its end; its own value where the other prompt is shorter."""
    asked, kept = prompted.asked, prompted.kept
    sites = tuple(dict.fromkeys(node.site for node in kept))
    given = prompted.params, asked.tokens_BL, prompted.keep, prompted.means
    taken = _activations(prompted.config, sites, *given)
    own_NBL = np.empty((len(kept), *asked.tokens_BL.shape), np.float32)
    for row, node in enumerate(kept):
        end = node.site in nodes.END_SITES
        own_NBL[row] = taken[node.site][() if end else node.layer][..., node.index]
    last_B = np.asarray(asked.position_B)
    partner_B = np.arange(len(last_B)) ^ 1
    here_1L = np.arange(own_NBL.shape[2])[None]
    there_BL = here_1L + (last_B[partner_B] - last_B)[:, None]
    has_BL = (there_BL >= 0) & (here_1L <= last_B[:, None])
    other_NBL = own_NBL[:, partner_B[:, None], np.where(has_BL, there_BL, 0)]
    return np.where(has_BL, other_NBL, own_NBL)


@functools.partial(jax.jit, static_argnums=0)
def _margins_of(
    config: ModelConfig, params: Any, asked: Question, keep: Nodes, means: Nodes
) -> jax.Array:
    return ablations.margins(config, params, asked, ablations.mean(keep, means))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _activations(
    config: ModelConfig,
    sites: tuple[str, ...],
    params: Any,
    tokens_BL: jax.Array,
    keep: Nodes,
    means: Nodes,
) -> Nodes:
    tap = taps.compose(ablations.mean(keep, means), taps.capture(sites))
    found: Nodes = model.trace(config, params, tokens_BL, tap)[1]
    return found


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
