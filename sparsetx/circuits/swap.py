"""What carries a decision: a node of one prompt, put into the other of its pair.

Removing a node says what it is needed for; this says what it tells. The node takes what
it is in the other prompt, at as many tokens before the end, and nothing else is
touched. How far that moves the answer, of the whole way to the other prompt's, is what
the node carries. A node that both prompts share carries nothing, however much is lost
without it. Shares need not add up to 1: nodes in a row carry the same decision one
after another, some overshoot, and some work against it.

Departure: the paper ablates, and does not interchange single nodes.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import mesh, model, nodes, taps
from sparsetx.circuits import ablate
from sparsetx.circuits.question import Question
from sparsetx.circuits.specimen import Specimen
from sparsetx.config import ModelConfig
from sparsetx.nodes import Node, Nodes

AT_ONCE = 4  # nodes side by side on a device
CLEAR = 3.0  # standard errors over pairs: a lead that is told from none


def shares(specimen: Specimen) -> dict[Node, float]:
    """{node: what it carries}, of the right answers' lead over all prompts together; of
    none where that lead is not clear, since all would be parts of next to nothing."""
    kept, lead_B = specimen.kept, _leads(specimen)
    lead_P = lead_B.reshape(-1, 2).mean(1)
    doubt = lead_P.std() / np.sqrt(len(lead_P))
    if not kept or lead_P.mean() <= CLEAR * doubt:
        return {}
    values_NBL = _of_the_other(specimen)
    devices = tuple(jax.local_devices())
    program, many = _of_nodes(specimen.config, devices), AT_ONCE * len(devices)
    nothing = {site: np.zeros_like(x) for site, x in specimen.keep.items()}
    given = specimen.params, specimen.asked, specimen.keep, specimen.means
    found: dict[Node, float] = {}
    for which in mesh.portions(len(kept), many):
        where = nodes.repeated(nothing, many)
        for row, number in enumerate(which):
            nodes.put(where, row, kept[number], 1)
        after_NB = np.asarray(program(*given, where, values_NBL[which]))
        moved_N = np.mean(lead_B - after_NB, 1) / (2 * lead_B.mean())
        # The last ones stand there several times, to fill the program: all are alike.
        found |= {kept[n]: x for n, x in zip(which, moved_N.tolist(), strict=True)}
    return found


def _leads(specimen: Specimen) -> npt.NDArray[np.floating]:
    """[B]: how far the right answer is ahead in the circuit."""
    given = specimen.params, specimen.asked, specimen.keep, specimen.means
    return np.asarray(_margins(specimen.config, *given))


def _of_the_other(specimen: Specimen) -> npt.NDArray[np.floating]:
    """[node, B, L]: what each kept node is in the other prompt, as far from its end;
    its own value where the other prompt is shorter."""
    asked, kept = specimen.asked, specimen.kept
    sites = tuple(dict.fromkeys(node.site for node in kept))
    given = specimen.params, asked.tokens_BL, specimen.keep, specimen.means
    taken = _activations(specimen.config, sites, *given)
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
def _margins(
    config: ModelConfig, params: Any, asked: Question, keep: Nodes, means: Nodes
) -> jax.Array:
    return ablate.margins(config, params, asked, ablate.mean(keep, means))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _activations(
    config: ModelConfig,
    sites: tuple[str, ...],
    params: Any,
    tokens_BL: jax.Array,
    keep: Nodes,
    means: Nodes,
) -> Nodes:
    tap = taps.compose(ablate.mean(keep, means), taps.capture(sites))
    found: Nodes = model.trace(config, params, tokens_BL, tap)[1]
    return found


@functools.cache
def _of_nodes(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    """The program: leads with some nodes, each alone, as given."""
    wide = 1 if devices[0].platform == "cpu" else AT_ONCE

    def all_of(
        params: Any,
        asked: Question,
        keep: Nodes,
        means: Nodes,
        where: Nodes,
        values_NBL: jax.Array,
    ) -> jax.Array:
        def leads(one: tuple[Nodes, jax.Array]) -> jax.Array:
            node, value_BL = one
            layers = (config.n_layer, *value_BL.shape, 1)
            values = {
                site: value_BL[..., None]
                if site in nodes.END_SITES
                else jnp.broadcast_to(value_BL[..., None], layers)
                for site in node
            }
            swapped = taps.interchange(node, values)
            tap = taps.compose(ablate.mean(keep, means), swapped)
            return ablate.margins(config, params, asked, tap)

        return jnp.asarray(jax.lax.map(leads, (where, values_NBL), batch_size=wide))

    return mesh.OverLanes(all_of, devices, whole=4)
