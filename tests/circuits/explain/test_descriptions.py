"""Descriptions of nodes: on a known circuit, and on arrays made by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.circuits.explain import activations, descriptions, node_statistics
from sparsetx.circuits.explain.descriptions import Description
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.nodes import Node
from tests.circuits import compiled
from tests.circuits.test_circuit import ASKED, made

WORDS = {i: f" word{i}" for i in compiled.WORDS}
QUOTES = {compiled.DOUBLE: '("', compiled.SINGLE: "('"}
CLOSERS = {compiled.CLOSE_DOUBLE: '")\n', compiled.CLOSE_SINGLE: "')\n"}
TEXTS = {compiled.EOT: "<|endoftext|>"} | QUOTES | CLOSERS | WORDS
NODE = Node(nodes.V, 3, 7)


def token(i: int) -> str:
    return TEXTS[i]


@pytest.fixture(scope="module")
def task() -> Sample:
    return activations.of(made(), ASKED.tokens_BL, ASKED.position_B)


@pytest.fixture(scope="module")
def text() -> Sample:
    other = compiled.question(16, 7)
    rows = other.tokens_BL, other.position_B
    return activations.of(made(), *rows, pruned=False, pairs=False)


def test_the_known_nodes_are_named_rightly(task: Sample) -> None:
    found = descriptions.of(task, made().nodes, token)
    titles = {(n.site, n.layer, n.index): d.title for n, d in found.items()}
    detectors = {(nodes.MLP_NEURON, 0, 0), (nodes.MLP_OUT, 0, 3), (nodes.K, 1, 0)}
    detectors |= {(nodes.ATTN_IN, 1, 3)}
    end = {(nodes.ATTN_OUT, 1, 5)}
    for node, title in titles.items():
        if node in detectors:
            assert title == "quote detector"
        elif node in end:
            assert title == "quote type at the end"
        else:
            assert title == "quote type"
    neuron = found[Node(nodes.MLP_NEURON, 0, 0)].text
    assert neuron == (
        "quote detector: fires on `(\"` and `('` (AUC 1.00 against other tokens)"
    )
    kind = found[Node(nodes.MLP_OUT, 0, 4)].text
    assert kind == "quote type: tells `(\"` from `('`: +1.9 / -1.9 (AUC 1.00)"
    single = found[Node(nodes.MLP_IN, 0, 1)].text
    assert single.startswith("quote type: fires on `('`, not on `(\"`: 0 / +0.97")


def test_descriptions_do_not_depend_on_names(task: Sample) -> None:
    """The same arrays under other names, in reverse order."""
    kept = made().nodes
    renamed = {Node(nodes.Q, 9, i): node for i, node in enumerate(reversed(kept))}
    values = {new: task.values[old] for new, old in renamed.items()}
    moved = Sample(task.tokens_BL, task.position_B, values)
    before, after = (
        descriptions.of(task, kept, token),
        descriptions.of(moved, list(values), token),
    )
    assert all(after[new].text == before[old].text for new, old in renamed.items())


def test_figures_are_repeated_on_running_text(task: Sample, text: Sample) -> None:
    found = descriptions.of(task, made().nodes, token, text)
    neuron = found[Node(nodes.MLP_NEURON, 0, 0)]
    node = Node(nodes.MLP_NEURON, 0, 0)
    mean = float(np.mean(text.values[node][text.real_BL]))
    assert f"in running text {mean:+.2g} on average" in neuron.text
    assert neuron.text.endswith("AUC 1.00 for the same tokens")


def test_a_head_is_described_by_where_it_attends(task: Sample) -> None:
    (look,) = descriptions.heads(task, token)
    assert (look.layer, look.head) == (1, 0)
    assert look.apart > 0.99
    assert look.tells == 1
    assert look.sink == pytest.approx(0, abs=1e-6)
    assert set(sorted(look.by_token, key=lambda t: -look.by_token[t])[:2]) == set(
        QUOTES
    )
    rows = np.arange(len(ASKED))
    away = np.argmax(np.isin(task.tokens_BL, list(QUOTES)), 1)
    back = np.mean(task.position_B[rows] - away)
    assert look.distance == pytest.approx(back, abs=0.02)
    assert look.text.startswith("from the last token it attends most to `(")
    assert "100% of its attention goes where the prompts of a pair" in look.text


def test_attention_to_a_sink_is_described() -> None:
    attention = np.zeros((2, 3, 3))
    attention[:, 2, 0] = 0.25
    rows = np.array([[0, 1, 5], [0, 2, 5]])
    sample = Sample(rows, np.array([2, 2]), {}, {(0, 1): attention})
    (look,) = descriptions.heads(sample, token)
    assert look.sink == 0.75
    assert look.distance == 2
    assert look.text.endswith(
        "2.0 tokens back on average; 75% of its attention goes to the sink"
    )


def drawn(value: Callable[[np.ndarray, np.ndarray], Any]) -> Description:
    """A node that is a function of token and position, on prompts of the fixture."""
    tokens_BL = np.asarray(ASKED.tokens_BL)
    place_BL = np.broadcast_to(np.arange(tokens_BL.shape[1]), tokens_BL.shape)
    values = {NODE: np.asarray(value(tokens_BL, place_BL), float)}
    sample = Sample(tokens_BL, np.asarray(ASKED.position_B), values)
    return descriptions.of(sample, [NODE], token)[NODE]


def test_a_constant() -> None:
    found = drawn(lambda t, p: np.full(t.shape, 2.5))
    assert found.text == "constant: 2.5 at every token"


def test_tokens_that_decide_nothing() -> None:
    found = drawn(lambda t, p: 3.0 * (t == 7) + 0.001 * p)
    assert found.title == "word detector"
    assert "fires on `␣word7` (AUC 1.00 against other tokens)" in found.text


def test_both_sides_of_a_token_type() -> None:
    found = drawn(lambda t, p: 3.0 * (t == 7) - 3.0 * (t == 9))
    assert found.title == "word type"
    assert "is lowest on `␣word9`" in found.text


def test_a_position() -> None:
    found = drawn(lambda t, p: 1.0 * p)
    assert found.text == (
        "position: the position in the prompt explains 100% of its variance"
    )


def test_what_nothing_explains_is_given_in_figures() -> None:
    rng = np.random.default_rng(0)
    found = drawn(lambda t, p: rng.normal(size=t.shape))
    assert found.title == ""
    assert "of its variance" in found.text


def test_a_detector_may_be_lowest_on_its_tokens() -> None:
    found = drawn(lambda t, p: 1.0 - np.isin(t, list(QUOTES)))
    assert found.title == "quote detector"
    assert "is lowest on `" in found.text


def test_a_small_difference_does_not_make_a_type() -> None:
    """Its values tell the two apart, but are nearly equal."""
    found = drawn(
        lambda t, p: 4.0 * (t == compiled.DOUBLE) + 3.0 * (t == compiled.SINGLE)
    )
    assert found.statistics.tells == 1
    assert found.title == "quote detector"


def test_prompts_of_two_lengths_differ_by_the_tokens_of_one() -> None:
    rows = np.array([[0, 5, 1, 6], [0, 5, 6, 0]])
    sample = Sample(rows, np.array([3, 2]), {})
    assert sample.apart_BL.tolist() == [[False, False, True, False], [False] * 4]
    assert sample.real_BL.sum() == 7


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (['("', "'"], "quote"),
        (["[", "[["], "opening bracket"),
        (["])", "}"], "closing bracket"),
        ([":\n", "\n"], "line end"),
        (["12", "x3"], "number"),
        ([" for", "in"], "word"),
        (["   ", " "], "space"),
        (["+", "=="], "sign"),
        (["a", "+"], ""),
        ([], ""),
    ],
)
def test_what_tokens_have_in_common(texts: list[str], wanted: str) -> None:
    assert descriptions.common(texts) == wanted


FLOATS = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), max_size=12)


@given(FLOATS, FLOATS)
def test_auc_counts_pairs(one: list[float], other: list[float]) -> None:
    found = node_statistics.auc(np.array(one), np.array(other))
    if not one or not other:
        assert found == 0.5
        return
    wins = [(a > b) + 0.5 * (a == b) for a in one for b in other]
    assert found == pytest.approx(np.mean(wins))
    assert node_statistics.auc(np.array(other), np.array(one)) == pytest.approx(
        1 - found
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), min_size=1))
def test_shares_of_variance_add_up(rows: list[tuple[int, int]]) -> None:
    label, x = np.array(rows).T
    share = node_statistics.explained(x.astype(float), label)
    assert -1e-9 <= share <= 1 + 1e-9
    if x.var() > 0:
        mean = np.array([x[label == a].mean() for a in label])
        assert share == pytest.approx(1 - np.square(x - mean).mean() / x.var())
        assert node_statistics.explained(x.astype(float), x + 2) == pytest.approx(1)
