"""Donors: other prompts' activations, together and apart."""

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, donors, questions
from tests.circuits import compiled

ASKED = compiled.question(16)
SITES = nodes.NODE_SITES
PARAMS = jax.tree.map(jnp.asarray, compiled.params())
GIVEN = donors.of(compiled.CONFIG, PARAMS, ASKED.tokens_BL, SITES)


def test_donors_are_activations_of_whole_pairs() -> None:
    whole = ablations.activations(compiled.CONFIG, PARAMS, ASKED.tokens_BL, SITES)
    assert donors.size(GIVEN) == len(ASKED)
    for site, x in GIVEN.items():
        np.testing.assert_allclose(x, whole[site], atol=1e-6)
    assert donors.count(compiled.CONFIG, 8, 10**6) == donors.MOST
    assert donors.count(compiled.CONFIG, 10**9, 10**6) == 2


def test_rows_are_given_what_their_donor_has() -> None:
    donor_B = jnp.asarray([3, 3, 0])
    for site, x in donors.given(GIVEN, donor_B).items():
        np.testing.assert_array_equal(x, GIVEN[site][:, donor_B])


def test_apart_moves_every_node_by_an_amount_of_its_own() -> None:
    """A node keeps its values, over all donors; nodes no longer agree on a prompt."""
    turned = donors.apart(GIVEN, jax.random.key(0))
    amounts = set()
    for site, x in turned.items():
        before, after = np.asarray(GIVEN[site]), np.asarray(x)
        assert before.shape == after.shape
        for layer in range(before.shape[0]):
            for i in range(before.shape[-1]):
                own, moved = before[layer, ..., i], after[layer, ..., i]
                fits = [
                    n for n in range(len(own)) if (np.roll(own, -n, 0) == moved).all()
                ]
                assert fits, (site, layer, i)
                amounts.add(fits[0] if len(fits) == 1 else None)
    assert len(amounts - {None}) > 3
    double = donors.both(GIVEN, jax.random.key(0))
    assert donors.size(double) == 2 * donors.size(GIVEN)


def test_a_node_that_is_left_out_takes_the_other_prompts_answer() -> None:
    """With nothing kept and one donor, every row answers as that donor does."""
    config = compiled.CONFIG
    means = {s: jnp.zeros(n) for s, n in nodes.shapes(config, SITES).items()}
    nothing = {site: jnp.zeros_like(x) for site, x in means.items()}
    rows = len(ASKED)
    donor_B = jnp.zeros(rows, jnp.int32)
    scales = ablations.norm_scales(config, PARAMS, ASKED)
    zero_B = jnp.zeros(rows)
    tap = ablations.by_kind(
        nothing, means, scales, nothing, zero_B, zero_B,
        (jnp.ones(rows), donors.given(GIVEN, donor_B)),
    )  # fmt: skip
    margin_B = questions.margins(config, PARAMS, ASKED, tap)
    whole_B = ablations.margins(config, PARAMS, ASKED, ablations.mean(
        {s: jnp.ones_like(x) for s, x in means.items()}, means
    ))  # fmt: skip
    same = np.asarray(ASKED.answers_B2[:, 0]) == int(ASKED.answers_B2[0, 0])
    at_B = np.asarray(ASKED.position_B)
    there = at_B == at_B[0]  # elsewhere the donor is at another token of its prompt
    assert there.sum() > 4
    np.testing.assert_array_equal((np.asarray(margin_B) > 0)[there], same[there])
    assert (np.asarray(whole_B) > 0).all()
