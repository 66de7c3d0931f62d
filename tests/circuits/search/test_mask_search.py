"""The steps of a search: scores, gradients, and lanes independent of each other."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.search import lanes, mask_search
from sparsetx.circuits.search.mask_search import Plan, Settings
from tests.circuits import compiled

CONFIG = compiled.CONFIG
PARAMS = jax.tree.map(jnp.asarray, compiled.params())
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
SITES = (*nodes.NODE_SITES, nodes.FINAL)
STEPS, CALL = 50, 25
HONEST = Settings(honest=1.0, k_coef=1e-3)


def task(pairs: int, seed: int) -> mask_search.Task:
    asked = compiled.question(pairs, seed)
    return mask_search.Task(asked, ablations.norm_scales(CONFIG, PARAMS, asked))


TASKS = jax.tree.map(lambda *x: jnp.stack(x), task(64, 1), task(64, 2))


@functools.cache
def deck(per_device: int, count: int, **more: Any) -> lanes.Deck:
    plan = Plan(CONFIG, pairs=8, steps=CALL, **more)
    return lanes.Deck(plan, per_device, tuple(jax.devices()[:count]))


def found(
    deck: lanes.Deck, which: list[tuple[int, int, Settings]], *more: Any
) -> dict[str, np.ndarray]:
    sites = deck.plan.sites
    means = MEANS if sites == nodes.NODE_SITES else wide_means()
    given = deck, PARAMS, means, TASKS, lanes.stacked(which), STEPS
    tau, losses = lanes.run(*given, *more)
    assert losses.shape == (len(which),)
    return dict(tau)


@functools.cache
def wide_means() -> dict[str, jax.Array]:
    return dict(ablations.means(CONFIG, PARAMS, compiled.corpus(), SITES))


def test_masks_begin_from_all_nodes_or_from_some() -> None:
    plan = deck(1, 1).plan
    settings = Settings(init_bias=0.1, init_scale=0.02)
    own = jax.tree.map(jnp.asarray, lanes.stacked([(0, 7, settings), (0, 8, settings)]))
    every = mask_search.begin(plan, own).tau
    kept = {s: jnp.zeros_like(x).at[:, :, ::3].set(1) for s, x in every.items()}
    some = mask_search.begin(plan, own, kept).tau
    for site, x in some.items():
        inside = np.asarray(kept[site]) > 0
        np.testing.assert_array_equal(x[inside], every[site][inside])
        lower = every[site][~inside] - x[~inside]
        np.testing.assert_allclose(lower, 0.1 + mask_search.OUTSIDE, atol=1e-6)
        assert np.ptp(x[~inside]) > 0.02  # with noise, and one of its own for each lane
        assert not np.array_equal(x[0], x[1])


def test_hard_concrete_gates_are_open_as_often_as_is_counted() -> None:
    tau = {"out": jnp.linspace(-0.5, 0.5, 11)[None]}
    many = jax.vmap(lambda key: mask_search.hard_concrete(tau, key)[0]["out"])
    drawn = many(jax.random.split(jax.random.key(0), 4000))
    counted = mask_search.hard_concrete(tau, jax.random.key(1))[1]["out"]
    np.testing.assert_allclose((drawn > 0).mean(0), counted, atol=0.03)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert (drawn == 1).mean(0)[0, -1] > 0.9  # whole, not only nearly


@pytest.mark.slow
def test_hard_concrete_gates_are_another_search() -> None:
    soft = deck(1, 2, gates="hard-concrete")
    ours, theirs = (found(d, [(0, 0, HONEST)]) for d in (deck(1, 2), soft))
    assert any((ours[site] != theirs[site]).any() for site in ours)
    assert min(x.min() for x in theirs.values()) < 0


def test_scores_stay_between_minus_one_and_one() -> None:
    fast = dataclasses.replace(HONEST, lr=0.5)
    for x in found(deck(1, 1), [(0, 0, fast)]).values():
        assert np.abs(x).max() <= 1
        assert x.min() < 0  # some nodes are ablated


@pytest.mark.slow
def test_the_same_lane_alone_among_others_and_on_eight_devices() -> None:
    """Bit for bit, with the same number of lanes on each device."""
    asked = [(i % 2, i, HONEST) for i in range(5)]
    together = found(deck(1, 8), asked)
    on_two = found(deck(1, 2), asked[::-1])
    alone = found(deck(1, 1), asked[3:4])
    for site, x in together.items():
        np.testing.assert_array_equal(on_two[site][::-1], x)
        np.testing.assert_array_equal(alone[site][0], x[3])
        assert not np.array_equal(x[0], x[2])  # other seeds, other masks


def test_the_price_of_nodes_follows_the_loss_that_it_is_given() -> None:
    """Two lanes, alike but for the loss that is said of each: where it is far below the
    target scores are lower, and each lane is asked once between two calls. A third does
    not follow, and is as without."""
    asked = []

    def loss(lane: int, tau: nodes.Nodes) -> float:
        asked.append((lane, tau[nodes.Q].shape))
        return (1e-3, 10.0)[lane]

    price = lanes.Price(0.15, loss)
    fixed = dataclasses.replace(HONEST, lr=0.05)
    alike = [(0, 0, dataclasses.replace(fixed, follows=1.0))] * 2
    tau = found(deck(1, 1), [*alike, (0, 0, fixed)], lambda steps: None, price)
    alone = found(deck(1, 1), [(0, 0, fixed)])
    for site, x in tau.items():
        np.testing.assert_array_equal(x[2], alone[site][0])
    assert asked == [(lane, (CONFIG.n_layer, CONFIG.n_head * 4)) for lane in (0, 1)]
    low, high = (sum(x[i].sum() for x in tau.values()) for i in (0, 1))
    assert low < high
    assert price.change(0, {nodes.Q: tau[nodes.Q]}) == pytest.approx(0.7 * 1.5)
    almost = lanes.Price(0.15, lambda lane, tau: 0.7 * 0.15 * np.exp(0.1))
    assert almost.change(0, {}) == pytest.approx(-0.07)


@pytest.mark.slow
def test_tied_keys_and_the_final_read() -> None:
    tau = found(deck(1, 2, final=True, tied=True), [(0, 0, HONEST)])
    assert set(tau) == set(SITES)
    np.testing.assert_array_equal(tau[nodes.K], tau[nodes.Q])
    assert tau[nodes.FINAL].shape == (1, CONFIG.d_model)
    assert np.ptp(tau[nodes.FINAL]) > 0.1  # it learns as well


def test_the_gradient_is_that_of_a_sigmoid() -> None:
    tau = {"x": jnp.array([-0.5, 0.0, 0.5])}
    value = mask_search.hard(tau, 0.25)["x"]
    np.testing.assert_array_equal(value, [0.0, 0.0, 1.0])
    slope = jax.grad(lambda t: mask_search.hard(t, 0.25)["x"].sum())(tau)["x"]
    sigmoid = jax.nn.sigmoid(tau["x"] / 0.25)
    np.testing.assert_allclose(slope, sigmoid * (1 - sigmoid) / 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("memory", "most", "per_device"), [(1e12, 64, 1), (1e12, 3, 1), (1.0, 64, 1)]
)
def test_a_deck_fits_its_memory(memory: float, most: int, per_device: int) -> None:
    made = lanes.deck(Plan(CONFIG, 8, 25), compiled.LENGTH, memory, most)
    assert made.per_device == per_device
    assert made.lanes == per_device * len(jax.local_devices())
    assert lanes.memory_here() > 1e8


@pytest.mark.slow
def test_the_estimate_of_memory_is_not_too_low() -> None:
    """Compared with what the compiler reports for a step of one lane."""
    alone = deck(1, 1)
    own = jax.tree.map(jnp.asarray, lanes.stacked([(0, 0, HONEST)]))
    mask = mask_search.begin(alone.plan, own)
    times = jnp.zeros(1, jnp.int32), jnp.full(1, 10.0)
    program = lanes.program(alone)
    lowered = program.lower(PARAMS, MEANS, TASKS, own, mask, *times)
    used = lowered.compile().memory_analysis().temp_size_in_bytes
    assert 0 < used < 2 * lanes.lane_bytes(alone.plan, compiled.LENGTH)
