"""The vocabulary: flat order, trees, who writes what."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.nodes import Node
from tests.small import SMALL

WITH_ENDS = (nodes.EMBED, *nodes.NODE_SITES, nodes.FINAL)


@pytest.mark.parametrize("sites", [nodes.NODE_SITES, WITH_ENDS, (nodes.V,)])
def test_flat_order_is_a_bijection(sites: tuple[str, ...]) -> None:
    total = nodes.count(SMALL, sites)
    found = [nodes.node_at(SMALL, i, sites) for i in range(total)]
    assert len(set(found)) == total
    assert [nodes.flat_index(SMALL, n, sites) for n in found] == list(range(total))


def test_count_is_the_sum_of_widths() -> None:
    read, attn, mlp, model = 24 + 5, 3 * 6, 40, 24
    assert nodes.count(SMALL) == 3 * (2 * read + 3 * attn + 2 * model + mlp)


def test_order_is_layer_by_layer_in_reading_order() -> None:
    order = [nodes.node_at(SMALL, i, WITH_ENDS) for i in range(nodes.count(SMALL))]
    assert order[0] == Node(nodes.EMBED, 0, 0)
    assert order[24] == Node(nodes.ATTN_IN, 0, 0)
    assert order[24 + 29] == Node(nodes.Q, 0, 0)
    last = nodes.node_at(SMALL, nodes.count(SMALL, WITH_ENDS) - 1, WITH_ENDS)
    assert last == Node(nodes.FINAL, 0, 23)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_flatten_and_unflatten_are_inverse(seed: int) -> None:
    total = nodes.count(SMALL, WITH_ENDS)
    vector = np.random.default_rng(seed).normal(size=total)
    tree = nodes.unflatten(SMALL, vector, WITH_ENDS)
    np.testing.assert_array_equal(nodes.flatten(SMALL, tree, WITH_ENDS), vector)
    place = seed % total
    node = nodes.node_at(SMALL, place, WITH_ENDS)
    row = tree[node.site]
    row = row if node.site in nodes.END_SITES else row[node.layer]
    assert row[node.index] == vector[place]


def test_writers_are_all_that_came_before() -> None:
    first = nodes.writers(SMALL, nodes.ATTN_IN, 0)
    assert first == [(nodes.EMBED, 0)]
    own = nodes.writers(SMALL, nodes.MLP_IN, 0)
    assert own == [(nodes.EMBED, 0), (nodes.ATTN_OUT, 0)]
    later = nodes.writers(SMALL, nodes.ATTN_IN, 1)
    assert later == [*own, (nodes.MLP_OUT, 0)] or set(later) == {
        *own, (nodes.MLP_OUT, 0),
    }  # fmt: skip
    assert len(nodes.writers(SMALL, nodes.FINAL, 0)) == 1 + 2 * SMALL.n_layer
    with pytest.raises(ValueError, match="'q' does not read the residual"):
        nodes.writers(SMALL, nodes.Q, 0)


def test_active_counts_round_down() -> None:
    model = dataclasses.replace(SMALL, afrac=0.25)
    assert nodes.active_count(model, nodes.ATTN_IN) == 7  # of 29
    assert nodes.active_count(model, nodes.RESID_POST_MLP) is None
    assert nodes.active_sites(dataclasses.replace(SMALL, afrac=None)) == ()


def test_refusals() -> None:
    total = nodes.count(SMALL)
    with pytest.raises(ValueError, match=f"index below {total}, got {total}"):
        nodes.node_at(SMALL, total)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        nodes.node_at(SMALL, -1)
    with pytest.raises(ValueError, match="wanted an index below 18"):
        nodes.flat_index(SMALL, Node(nodes.Q, 0, 18))
    with pytest.raises(ValueError, match=r"no such site and layer .* of 3 layers"):
        nodes.flat_index(SMALL, Node(nodes.Q, 3, 0))
    with pytest.raises(ValueError, match=r"wanted a vector of shape \(\d+,\)"):
        nodes.unflatten(SMALL, np.zeros(3))
    with pytest.raises(ValueError, match=r"no width for site 'attn_inn'; did you mean"):
        nodes.width(SMALL, "attn_inn")
