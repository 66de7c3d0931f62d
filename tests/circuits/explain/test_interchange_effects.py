"""Interchange effects: on the known circuit, and against a second computation."""

import jax
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.circuits.explain import interchange_effects
from sparsetx.circuits.explain.interchange_effects import Prompted
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.measure.questions import Question
from sparsetx.nodes import Node
from tests.circuits import compiled
from tests.circuits.test_circuit import MEANS, PARAMS

CONFIG = compiled.CONFIG
FEW = compiled.question(8, 5)
TELLS = (  # the type of the quote, from its read to the answer
    Node(nodes.MLP_NEURON, 0, 1), Node(nodes.ATTN_IN, 1, 4), Node(nodes.V, 1, 0),
    Node(nodes.ATTN_OUT, 1, 5),
)  # fmt: skip
SHARED = (Node(nodes.MLP_NEURON, 0, 0), Node(nodes.K, 1, 0), Node(nodes.ATTN_IN, 1, 3))


def prompted(asked: Question, keep: nodes.Nodes | None = None) -> Prompted:
    return Prompted(
        CONFIG, PARAMS, compiled.mask() if keep is None else keep, MEANS, asked
    )


def test_what_tells_the_quotes_apart_carries_the_decision() -> None:
    found = interchange_effects.of(prompted(FEW))
    assert set(found) == compiled.CIRCUIT
    for node in TELLS:
        assert found[node] == pytest.approx(1, abs=0.02)
    for node in SHARED:  # needed, and the same in both prompts
        assert found[node] == pytest.approx(0, abs=1e-5)


def uneven(asked: Question) -> Question:
    """The second prompt of each pair ends two tokens earlier."""
    position_B = np.asarray(asked.position_B).copy()
    position_B[1::2] -= 2
    return Question(
        asked.tokens_BL, jax.numpy.asarray(position_B), asked.answers_B2, asked.sign_B,
        asked.open,
    )  # fmt: skip


@pytest.mark.parametrize("node", [TELLS[1], SHARED[0], Node(nodes.MLP_OUT, 0, 3)])
@pytest.mark.parametrize("even", [True, False])
def test_an_effect_is_how_far_the_margin_moves(node: Node, even: bool) -> None:
    """Computed prompt by prompt, with the whole site substituted."""
    asked = FEW if even else uneven(FEW)
    everything = {s: np.ones(x) for s, x in nodes.shapes(CONFIG).items()}
    found = interchange_effects.of(prompted(asked, everything))[node]
    mean = ablations.mean(everything, MEANS)
    taken = model.trace(
        CONFIG, PARAMS, asked.tokens_BL, taps.compose(mean, taps.capture([node.site]))
    )[1][node.site]
    own = np.asarray(taken)
    mixed, last_B = own.copy(), np.asarray(asked.position_B)
    for row in range(len(last_B)):
        other = row + 1 if row % 2 == 0 else row - 1
        for back in range(min(last_B[row], last_B[other]) + 1):
            there = own[node.layer, other, last_B[other] - back, node.index]
            mixed[node.layer, row, last_B[row] - back, node.index] = there
    tap = taps.compose(mean, taps.substitute({node.site: mixed}))
    before_B = np.asarray(questions.margins(CONFIG, PARAMS, asked, mean))
    after_B = np.asarray(questions.margins(CONFIG, PARAMS, asked, tap))
    wanted = np.mean(before_B - after_B) / (2 * np.mean(before_B))
    assert found == pytest.approx(float(wanted), abs=1e-4)


def test_there_are_no_effects_where_the_margin_is_zero() -> None:
    """Without the type both prompts are alike: fractions of their margin are noise."""
    shared = compiled.mask({*SHARED, Node(nodes.ATTN_OUT, 1, 5)})
    assert interchange_effects.of(prompted(FEW, shared)) == {}


def test_between_one_token_and_all_others() -> None:
    """The margin is a log odds; all of it goes through the last write."""
    asked = compiled.question(8, 5)
    sign_B = np.where(np.arange(len(asked)) % 2 == 0, 1.0, -1.0)
    first_B2 = np.asarray(asked.answers_B2)[:, :1].repeat(2, 1)
    first_B2[1::2] = first_B2[::2]  # the one token: right, and wrong, of each pair
    one = Question(
        asked.tokens_BL, asked.position_B, jax.numpy.asarray(first_B2),
        jax.numpy.asarray(sign_B, "float32"), jax.numpy.float32(1),
    )  # fmt: skip
    found = interchange_effects.of(prompted(one))
    assert found[Node(nodes.ATTN_OUT, 1, 5)] == pytest.approx(1, abs=1e-3)
    assert found[Node(nodes.K, 1, 0)] == pytest.approx(0, abs=1e-3)
