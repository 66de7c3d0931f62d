"""Changes to a folded circuit against the same changes to the tapped model."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.circuits.measure import ablations, edges, effective_edges, inference
from sparsetx.circuits.measure.inference.changes import Recorded
from sparsetx.config import ModelConfig
from tests.circuits.measure.test_inference import BASE, CHANGES, drawn
from tests.model.test_sparse_inference import thinned

TOKENS_BL = np.random.default_rng(5).integers(0, 37, (3, 11))
PLACE_B = np.array([7, 2, 9])
ROWS = np.arange(3)


@dataclasses.dataclass(frozen=True)
class Case:
    config: ModelConfig
    params: Any
    keep: Any
    means: Any

    def recorded(self) -> Recorded:
        folded = inference.fold(self.config, self.params, self.keep, self.means)
        assert folded is not None
        return Recorded(folded, TOKENS_BL, PLACE_B)

    def wanted(self, params: Any, *more: taps.Tap) -> np.ndarray:
        """[B, V], by the tapped model."""
        tap = taps.compose(ablations.mean(self.keep, self.means), *more)
        logits = model.apply(self.config, params, jnp.asarray(TOKENS_BL), tap)
        return np.asarray(logits)[ROWS, PLACE_B]

    def kept(self) -> list[nodes.Node]:
        flat = np.flatnonzero(nodes.flatten(self.config, self.keep))
        return [nodes.node_at(self.config, int(i)) for i in flat]


def case(name: str, part: float = 0.3) -> Case:
    config = dataclasses.replace(BASE, **CHANGES[name])
    params = thinned(config, 0.2, seed=1)
    return Case(config, params, *drawn(config, 2, part))


def some(found: list[Any], each: Any) -> list[Any]:
    """The first and the last of every kind."""
    kinds: dict[Any, list[Any]] = {}
    for one in found:
        kinds.setdefault(each(one), []).append(one)
    return [one for own in kinds.values() for one in {0: own[0], 1: own[-1]}.values()]


@pytest.mark.parametrize("name", CHANGES)
def test_nodes_held_at_other_values(name: str) -> None:
    own = case(name)
    recorded, moved = own.recorded(), 0
    for node in some(own.kept(), lambda n: (n.site, n.layer)):
        value_BL = np.random.default_rng(node.index).normal(size=TOKENS_BL.shape)
        value_BL = value_BL.astype(np.float32)
        change = recorded.held(node, value_BL)
        assert change is not None
        where = {s: np.zeros_like(x) for s, x in own.keep.items()}
        where[node.site][node.layer, node.index] = 1
        values = {
            s: np.broadcast_to(value_BL[None, ..., None], (2, *value_BL.shape, 1))
            for s in where
        }
        wanted = own.wanted(own.params, taps.interchange(where, values))
        np.testing.assert_allclose(recorded.logits(change), wanted, atol=2e-5)
        moved += bool(np.abs(wanted - recorded.logits()).max() > 1e-3)
    assert moved > 8  # of 32: these are not all without effect
    np.testing.assert_allclose(recorded.logits(), own.wanted(own.params), atol=1e-5)


def edges_moved(own: Case, found: list[Any]) -> int:
    """Each of these edges is set to its mean; how many change the logits."""
    recorded, moved = own.recorded(), 0
    for one in found:
        where = effective_edges.places(own.config, [one])
        alive = jnp.zeros(len(where.row_E))
        fewer = effective_edges.keep_only(
            own.config, own.params, own.means, where, alive
        )
        change = recorded.without(one[2])
        assert change is not None
        got, wanted = recorded.logits(change), own.wanted(fewer)
        np.testing.assert_allclose(got, wanted, atol=2e-5)
        moved += bool(np.abs(got - recorded.logits()).max() > 1e-4)
    return moved


@pytest.mark.parametrize("name", CHANGES)
def test_edges_at_their_means(name: str) -> None:
    own = case(name)
    found = list(edges.located(own.config, own.params, own.keep))
    kinds = some(found, lambda x: (x[2].src.site, x[2].dst.site, x[2].src.layer))
    assert edges_moved(own, kinds) > 2


def test_with_a_sink_values_at_their_means_have_edges() -> None:
    own = case("a sink")
    for layer in (0, 1):  # a head with a kept key, and no kept value
        own.keep[nodes.V][layer, :8] = 0
        own.keep[nodes.K][layer, 0] = 1
    found = edges.located(own.config, own.params, own.keep)
    free = [x for x in found if x[2].src.site == nodes.V and x[2].src.index < 8]
    assert edges_moved(own, free) > 2


def test_what_writes_nothing_cannot_be_changed() -> None:
    own = case("plain")
    own.keep[nodes.MLP_OUT][0] = 0
    recorded = own.recorded()
    node = next(n for n in own.kept() if n.site == nodes.MLP_NEURON and n.layer == 0)
    assert recorded.held(node, np.ones(TOKENS_BL.shape, np.float32)) is None
    value_BL = np.ones(TOKENS_BL.shape, np.float32)
    later = next(n for n in own.kept() if n.site == nodes.MLP_NEURON and n.layer == 1)
    assert recorded.held(later, value_BL) is not None
