"""Every kind of ablation replaces other nodes by what it should."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.measure.questions import Question
from tests import small
from tests.small import params_of, random_nodes

# Without AbsTopK, which has tests of its own: the loss is then smooth in a mask.
SMALL = dataclasses.replace(small.SMALL, n_layer=2, afrac=None)
PARAMS = params_of(SMALL)
SITES = (*nodes.NODE_SITES, nodes.FINAL)
RNG = np.random.default_rng(0)
TOKENS = jnp.asarray(RNG.integers(0, SMALL.vocab_size, (3, 6, 9)))
ASKED = Question(
    TOKENS[0],
    jnp.array([8, 7, 5, 5, 3, 8]),
    jnp.asarray(RNG.permuted(np.tile(np.arange(37), (6, 1)), axis=1)[:, :2]),
    jnp.ones(6),
    jnp.float32(0),
)
WHOLE = ablations.activations(SMALL, PARAMS, ASKED.tokens_BL, SITES)
MEANS = ablations.means(SMALL, PARAMS, TOKENS, SITES)
SCALES = ablations.norm_scales(SMALL, PARAMS, ASKED)
loss = jax.jit(ablations.loss, static_argnums=0)


def mask(seed: int, share: float = 0.5) -> dict[str, Any]:
    """A random mask, with the final read."""
    rng = np.random.default_rng(seed)
    return {
        site: jnp.asarray(rng.random(shape) < share, jnp.float32)
        for site, shape in nodes.shapes(SMALL, SITES).items()
    }


KEEP = mask(0)


@functools.cache
def seen(kind: str) -> dict[str, Any]:
    """Activations of every site under an ablation."""
    order = jnp.array([3, 0, 1, 5, 2, 4])
    tap = {
        "mean": lambda: ablations.mean(KEEP, MEANS),
        "zero": lambda: ablations.zero(KEEP),
        "resample": lambda: ablations.resample(SMALL, PARAMS, KEEP, ASKED, order),
    }[kind]()
    both = taps.compose(tap, taps.capture(SITES))
    return model.trace(SMALL, PARAMS, ASKED.tokens_BL, both)[1]


def test_means_are_over_all_tokens_and_positions() -> None:
    every = [ablations.activations(SMALL, PARAMS, batch, SITES) for batch in TOKENS]
    for site in SITES:
        wide = np.stack([np.asarray(x[site], np.float64) for x in every])
        axes = (0, 1, 2) if site in nodes.END_SITES else (0, 2, 3)
        np.testing.assert_allclose(MEANS[site], wide.mean(axes), atol=1e-5)
    assert set(ablations.means(SMALL, PARAMS, TOKENS)) == set(nodes.NODE_SITES)


@pytest.mark.parametrize("kind", ["mean", "zero", "resample"])
def test_other_nodes_have_the_values_of_the_kind(kind: str) -> None:
    order = np.array([3, 0, 1, 5, 2, 4])
    for site in SITES:
        end = site in nodes.END_SITES
        gone = np.asarray(KEEP[site]) == 0
        wanted = {
            "mean": lambda s=site: (
                MEANS[s] if s == nodes.FINAL else MEANS[s][:, None, None]
            ),
            "zero": lambda: 0.0,
            "resample": lambda s=site: (
                WHOLE[s][order] if s == nodes.FINAL else WHOLE[s][:, order]
            ),
        }[kind]()
        found = np.asarray(seen(kind)[site])
        gone = gone[None, None] if end else gone[:, None, None]
        where = np.broadcast_to(gone, found.shape)
        wanted = np.broadcast_to(np.asarray(wanted), found.shape)
        np.testing.assert_allclose(found[where], wanted[where], atol=1e-5)
        assert np.abs(found[~where]).max() > 0


@pytest.mark.parametrize("kind", ["mean", "zero", "resample"])
def test_keeping_every_node_changes_nothing(kind: str) -> None:
    ones = jax.tree.map(jnp.ones_like, KEEP)
    tap = {
        "mean": lambda: ablations.mean(ones, MEANS),
        "zero": lambda: ablations.zero(ones),
        "resample": lambda: ablations.resample(
            SMALL, PARAMS, ones, ASKED, jnp.arange(6)[::-1]
        ),
    }[kind]()
    whole = loss(SMALL, PARAMS, ASKED, taps.IDENTITY)
    for scales in (None, SCALES):  # the norms of the whole model are its own
        found = loss(SMALL, PARAMS, ASKED, tap, scales)
        np.testing.assert_allclose(found, whole, rtol=1e-4)


def test_frozen_norms_are_those_of_the_whole_model_the_last_included() -> None:
    """Compared with logits at every position, with the norms replaced at every one."""
    tap = ablations.mean(KEEP, MEANS)
    both = taps.compose(tap, ablations.frozen(SCALES), taps.capture(nodes.NORM_SITES))
    logits, norms = model.trace(SMALL, PARAMS, ASKED.tokens_BL, both)
    last = logits[np.arange(6), ASKED.position_B]
    wanted = questions.margin_of(ASKED, last)
    found = ablations.margins(SMALL, PARAMS, ASKED, tap, SCALES)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    for site in nodes.NORM_SITES:
        np.testing.assert_array_equal(norms[site], SCALES[site])
    free = ablations.margins(SMALL, PARAMS, ASKED, tap)
    assert np.abs(free - found).max() > 0.01


def test_amount_0_is_mean_ablation_and_1_the_whole_model() -> None:
    def at(amount: float) -> float:
        amounts = jax.tree.map(lambda x: jnp.full_like(x, amount), KEEP)
        tap = ablations.stochastic(KEEP, MEANS, amounts)
        return float(loss(SMALL, PARAMS, ASKED, tap))

    mean = float(loss(SMALL, PARAMS, ASKED, ablations.mean(KEEP, MEANS)))
    whole = float(loss(SMALL, PARAMS, ASKED, taps.IDENTITY))
    assert at(0.0) == pytest.approx(mean, rel=1e-5)
    assert at(1.0) == pytest.approx(whole, rel=1e-5)
    assert abs(mean - whole) > 0.01
    assert min(abs(at(0.5) - mean), abs(at(0.5) - whole)) > 0.001


def test_smooth_draws_are_uniform_and_others_have_their_own_rates() -> None:
    keys = jax.random.split(jax.random.key(0), 300)
    draw = jax.jit(jax.vmap(ablations.drawn_amounts, in_axes=(None, 0, None)))
    smooth, rough = (draw(KEEP, keys, jnp.array(x)) for x in (True, False))
    for site in nodes.NODE_SITES:
        width = nodes.width(SMALL, site)
        assert smooth[site].shape == (300, SMALL.n_layer, width)
        flat = np.sort(np.ravel(smooth[site]))
        np.testing.assert_allclose(flat, np.linspace(0, 1, flat.size), atol=0.03)
        assert set(np.unique(rough[site])) == {0.0, 1.0}
        # The rate is uniform, so is the fraction of ones, up to the number of nodes.
        rate = np.asarray(rough[site]).mean(-1)
        assert rate.mean() == pytest.approx(0.5, abs=0.06)
        wanted = 1 / 12 + 1 / 6 / width
        np.testing.assert_allclose(rate.var(0), wanted, rtol=0.25)
        assert abs(np.corrcoef(rate.T)[0, 1]) < 0.2  # each layer has its own


def test_half_of_all_draws_are_smooth() -> None:
    keys = jax.random.split(jax.random.key(1), 400)
    draw = jax.vmap(lambda k: ablations.drawn_amounts({"q": KEEP["q"]}, k)["q"])
    found = np.asarray(jax.jit(draw)(keys))
    rough = ((found == 0) | (found == 1)).all((1, 2))
    assert rough.mean() == pytest.approx(0.5, abs=0.07)
    assert not ((found == 0) | (found == 1))[~rough].any()


def test_the_figures_behind_h_are_those_of_single_losses() -> None:
    keys = jax.random.split(jax.random.key(2), 6)
    one_by_one = []
    for i, key in enumerate(keys):
        amounts = ablations.drawn_amounts(KEEP, key, jnp.array(i % 2 == 0))
        tap = ablations.stochastic(KEEP, MEANS, amounts)
        one_by_one.append(float(loss(SMALL, PARAMS, ASKED, tap, SCALES)))
    tap = ablations.mean(KEEP, MEANS)
    honest = jax.jit(ablations.honest_losses, static_argnums=(0, 7))
    found = honest(SMALL, PARAMS, ASKED, KEEP, MEANS, SCALES, keys, 3)
    wanted = {
        "mean": loss(SMALL, PARAMS, ASKED, tap),
        "frozen": loss(SMALL, PARAMS, ASKED, tap, SCALES),
        "stochastic": np.percentile(one_by_one, 95),
        "stochastic_mean": np.mean(one_by_one),
    }
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4)


@pytest.mark.parametrize("worst", ["mean", "frozen", "stochastic"])
def test_h_is_the_worst_figure(worst: str) -> None:
    figures = {"mean": 0.1, "frozen": 0.1, "stochastic": 0.1, "stochastic_mean": 9.0}
    assert float(ablations.honest_loss(figures | {worst: 0.3})) == np.float32(0.3)


def test_many_masks_have_the_losses_of_each_alone() -> None:
    masks = [mask(seed, share) for seed, share in enumerate([0.1, 0.5, 0.9, 0.0, 1.0])]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *masks)
    kind = functools.partial(ablations.mean, means=MEANS)
    alone = [loss(SMALL, PARAMS, ASKED, kind(keep)) for keep in masks]
    for at_once in (1, 2):
        many = functools.partial(ablations.losses, kind=kind, at_once=at_once)
        found = jax.jit(many, static_argnums=0)(SMALL, PARAMS, ASKED, stacked)
        np.testing.assert_allclose(found, alone, rtol=1e-4)


def test_the_gradient_of_a_mask_is_that_of_finite_differences() -> None:
    direction = random_nodes(SMALL, 5) | {nodes.FINAL: jnp.ones(SMALL.d_model)}
    half = jax.tree.map(lambda x: jnp.full_like(x, 0.5), KEEP)

    def at(t: float) -> jax.Array:
        keep = jax.tree.map(lambda x, d: x + t * d, half, direction)
        return loss(SMALL, PARAMS, ASKED, ablations.mean(keep, MEANS), SCALES)

    step = 1e-2
    numeric = (at(step) - at(-step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(at))(0.0), numeric, rtol=0.03)
