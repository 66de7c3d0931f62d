"""What carries a decision: a node of one prompt, put into the other of its pair.

Removing a node says what it is needed for; this says what it tells. The node takes, at
every token, what it is in the other prompt (at as many tokens before the end, since the
two may differ in length), and nothing else is touched. If the answer turns over, the
node carries the decision by itself: its share is 1. If nothing happens it is 0, however
much is lost without it: it holds what both prompts have in common.

Departure: the paper ablates, and does not interchange single nodes.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import mesh, model, nodes, taps
from sparsetx.circuits import ablate
from sparsetx.circuits.exhibit import Exhibit
from sparsetx.circuits.question import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Node, Nodes

AT_ONCE = 4  # nodes side by side on a device


def shares(exhibit: Exhibit) -> dict[Node, float]:
    """{node: its share of the way from one answer to the other}, the mean over prompts;
    of none, where the circuit does not tell the prompts apart."""
    config, kept = exhibit.config, exhibit.kept
    given = exhibit.params, exhibit.asked, exhibit.keep, exhibit.means
    own_B, other = _both(config, *given)
    way = 2 * float(np.mean(own_B))
    if way <= 0:
        return {}
    devices = tuple(jax.local_devices())
    program, many = _of_nodes(config, devices), AT_ONCE * len(devices)
    nothing = {site: np.zeros_like(x) for site, x in exhibit.keep.items()}
    found: dict[Node, float] = {}
    for which in mesh.portions(len(kept), many):
        tree = nodes.repeated(nothing, many)
        for row, number in enumerate(which):
            nodes.put(tree, row, kept[number], 1)
        margins_NB = np.asarray(program(*given, other, tree))
        moved_N = np.mean(np.asarray(own_B)[None] - margins_NB, 1) / way
        for number, moved in zip(which, moved_N.tolist(), strict=False):
            found[kept[number]] = moved
    return found


@functools.partial(jax.jit, static_argnums=0)
def _both(
    config: ModelConfig, params: Any, asked: Question, keep: Nodes, means: Nodes
) -> tuple[jax.Array, Nodes]:
    """How far the right answer is ahead, and what nodes are in each other prompt."""
    tap = ablate.mean(keep, means)
    both = taps.compose(tap, taps.capture(list(keep)))
    own = model.trace(config, params, asked.tokens_BL, both)[1]
    place_BL = _beside(asked.position_B, asked.tokens_BL.shape[1])
    partner_B1 = (jnp.arange(len(asked.position_B)) ^ 1)[:, None]
    taken = jnp.maximum(place_BL, 0)
    there_BL1 = (place_BL >= 0)[..., None]
    other = {
        site: jnp.where(there_BL1, x[..., partner_B1, taken, :], x)
        for site, x in own.items()
    }
    return ablate.margins(config, params, asked, tap), other


def _beside(position_B: jax.Array, length: int) -> jax.Array:
    """The place in the other prompt that is as far from its end, or -1."""
    partner_B = position_B.reshape(-1, 2)[:, ::-1].reshape(-1)
    here_1L = jnp.arange(length)[None]
    there_BL = here_1L + (partner_B - position_B)[:, None]
    inside_BL = (there_BL >= 0) & (here_1L <= position_B[:, None])
    return jnp.where(inside_BL, there_BL, -1)


@functools.cache
def _of_nodes(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    wide = 1 if devices[0].platform == "cpu" else AT_ONCE

    def all_of(
        params: Any,
        asked: Question,
        keep: Nodes,
        means: Nodes,
        other: Nodes,
        one: Nodes,
    ) -> jax.Array:
        def margins(where: Nodes) -> jax.Array:
            swapped = taps.interchange(where, other)
            tap = taps.compose(ablate.mean(keep, means), swapped)
            return ablate.margins(config, params, asked, tap)

        return jnp.asarray(jax.lax.map(margins, one, batch_size=wide))

    return mesh.OverLanes(all_of, devices, whole=5)
