"""Interchange effects: what part of the decision each node of a circuit carries.

An ablation cost says whether a node is needed; an interchange effect says whether it
carries the information that decides. The node takes the value that it has in the other
prompt of the pair, at the same distance from the end, and nothing else is changed. Its
effect is how far that moves the margin towards the other prompt's, as a fraction of the
whole distance. A node with equal values in both prompts has an effect of 0, whatever
its ablation cost. Effects need not add up to 1: nodes on one path carry the same
decision one after another, some overshoot, and some work against it.

Departure: the paper ablates, and does not interchange single nodes.

Nodes are changed in the circuit's own weights (measure/inference), where it has that
form: that needs no program, and takes less time than the tapped model.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes, taps
from sparsetx.circuits.explain import activations
from sparsetx.circuits.explain.activations import Array, Taken
from sparsetx.circuits.measure import ablations, inference, questions
from sparsetx.circuits.measure.inference.changes import Change, Recorded
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Node, Nodes

# Changes that the tapped model makes take a whole pass each, and programs to compile.
SLOWER = inference.SLOWER // 4
AT_ONCE = 4  # changes side by side on a device
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
        return nodes.kept(self.config, self.keep)

    @functools.cached_property
    def taken(self) -> Taken:
        return activations.taken(self, self.asked)

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


def of(prompted: Prompted) -> dict[Node, float]:
    """{node: effect}, as a fraction of the mean margin over all prompts. Empty where
    that margin is not clearly above zero: fractions of it would only be noise."""
    kept, margin_B = prompted.kept, prompted.margin_B
    margin_P = margin_B.reshape(-1, 2).mean(1)
    error = margin_P.std() / np.sqrt(len(margin_P))
    if not kept or margin_P.mean() <= CLEAR * error:
        return {}
    other_NBL = _values_in_the_other_prompt(prompted)
    after_NB = prompted.held(list(zip(kept, other_NBL, strict=True)))
    moved_N = np.mean(margin_B - after_NB, 1) / (2 * margin_B.mean())
    return dict(zip(kept, moved_N.tolist(), strict=True))


def _values_in_the_other_prompt(prompted: Prompted) -> Array:
    """[node, B, L]: each kept node in the other prompt of the pair, at the same
    distance from its end; its own value where the other prompt is shorter."""
    own_NBL = np.stack([prompted.taken.values[node] for node in prompted.kept])
    last_B = np.asarray(prompted.asked.position_B)
    partner_B = np.arange(len(last_B)) ^ 1
    here_1L = np.arange(own_NBL.shape[2])[None]
    there_BL = here_1L + (last_B[partner_B] - last_B)[:, None]
    has_BL = (there_BL >= 0) & (here_1L <= last_B[:, None])
    other_NBL = own_NBL[:, partner_B[:, None], np.where(has_BL, there_BL, 0)]
    return np.where(has_BL, other_NBL, own_NBL)


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
