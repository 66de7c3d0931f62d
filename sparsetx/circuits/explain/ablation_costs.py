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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.explain import interchange_effects
from sparsetx.circuits.explain.activations import Array
from sparsetx.circuits.explain.interchange_effects import Prompted
from sparsetx.circuits.measure import edges, effective_edges
from sparsetx.circuits.measure.questions import Question
from sparsetx.model import parameters
from sparsetx.nodes import Node

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
    loss = float(_losses(prompted.margin_B[None])[0])
    shape = asked.tokens_BL.shape
    ablated = [
        (node, np.full(shape, _mean(prompted, node), np.float32))
        for node in prompted.kept
    ]
    alone = _losses(prompted.held(ablated))
    by_node = dict(zip(prompted.kept, (alone - loss).tolist(), strict=True))
    by_edge = _of_edges(prompted, loss, most)
    return Costs(
        loss, by_node, by_edge, _direct(prompted), interchange_effects.of(prompted)
    )


def _losses(margin_NB: Array) -> npt.NDArray[np.float64]:
    """[N]: mean cross-entropies."""
    found: npt.NDArray[np.float64]
    found = np.logaddexp(0.0, -margin_NB.astype(np.float64)).mean(-1)
    return found


def _mean(prompted: Prompted, node: Node) -> float:
    row = np.asarray(prompted.means[node.site])
    return float(row[node.index] if row.ndim == 1 else row[node.layer, node.index])


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
    own = [found[i][2] for i in chosen]
    if prompted.recorded is not None:
        changes = map(prompted.recorded.without, own)
        losses = _losses(prompted.changed(list(changes)))
    else:
        alive = np.ones((len(chosen), len(found)), bool)
        alive[np.arange(len(chosen)), chosen] = False
        losses = bench.losses(alive).astype(np.float64)
    cost = (losses - loss).tolist()
    return {(e.src, e.dst): x for e, x in zip(own, cost, strict=True)}


def _direct(prompted: Prompted) -> dict[Node, float]:
    """Mean direct effects at the last token."""
    asked, params, taken = prompted.asked, prompted.params, prompted.taken
    last_B, answer_B2 = np.asarray(asked.position_B), np.asarray(asked.answers_B2)
    rows = np.arange(len(last_B))
    gain_D = np.asarray(params[parameters.FINAL_NORM][parameters.GAIN])
    w_DV = np.asarray(params[parameters.UNEMBED][parameters.W])
    right_DB, wrong_DB = (w_DV[:, answer_B2[:, i]] * gain_D[:, None] for i in (0, 1))
    towards_DB = right_DB - wrong_DB
    if float(asked.open):
        towards_DB = right_DB * np.asarray(asked.sign_B)
    towards_DB = towards_DB * taken.norm_BL[rows, last_B]
    return {
        node: float(
            np.mean(
                (taken.values[node][rows, last_B] - _mean(prompted, node))
                * towards_DB[node.index]
            )
        )
        for node in prompted.kept
        if node.site in (*edges.WRITES, nodes.FINAL)
    }
