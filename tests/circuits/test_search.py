"""Masks are found again where they are known, the same however many are searched."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits import ablate, discretise, edges, search
from tests.circuits import compiled

CONFIG = compiled.CONFIG
PARAMS = jax.tree.map(jnp.asarray, compiled.params())
MEANS = ablate.means(CONFIG, PARAMS, compiled.corpus())
PATTERN = {name: np.asarray(x) for name, x in edges.patterns(CONFIG, PARAMS).items()}
STEPS, CHUNK, SEEDS = 150, 50, 6


def task(pairs: int, seed: int) -> search.Task:
    asked = compiled.question(pairs, seed)
    return search.Task(asked, ablate.norm_scales(CONFIG, PARAMS, asked))


TRAIN, VALIDATION = task(128, 1), task(32, 2)
TASKS = jax.tree.map(lambda x: x[None], TRAIN)


def lanes(seeds: list[int], honest: float) -> search.Lanes:
    count = len(seeds)
    settings = search.Settings(honest=honest)
    values = {
        f.name: jnp.full(count, float(getattr(settings, f.name)))
        for f in dataclasses.fields(settings)
    }
    return search.Lanes(
        jnp.zeros(count, int), jnp.array(seeds), search.Settings(**values)
    )


@functools.cache
def program() -> Any:
    plan = search.Plan(CONFIG, STEPS, 16)
    return jax.jit(functools.partial(search.advance, plan), static_argnames="count")


def found(which: search.Lanes) -> search.Mask:
    mask = search.begin(CONFIG, which)
    for start in range(0, STEPS, CHUNK):
        mask, _ = program()(
            PARAMS, MEANS, TASKS, which, mask, jnp.int32(start), count=CHUNK
        )
    return mask


@pytest.fixture(scope="module")
def honest_masks() -> search.Mask:
    return found(lanes(list(range(SEEDS)), 1.0))


def test_an_honest_search_finds_the_compiled_circuit(honest_masks: search.Mask) -> None:
    judge = discretise.Judge(CONFIG, PARAMS, MEANS, VALIDATION, honest=True)
    wanted = nodes.flatten(
        CONFIG, {s: np.asarray(x) for s, x in compiled.mask().items()}
    )
    for i in range(0, SEEDS, 2):
        tau = {site: np.asarray(x[i]) for site, x in honest_masks.tau.items()}
        chosen = discretise.choose(judge, PATTERN, tau, target=0.15)
        np.testing.assert_array_equal(chosen.mask, wanted > 0)
        assert chosen.loss < 0.15
        assert discretise.size_of(CONFIG, PATTERN, chosen.mask) == compiled.EDGES


def test_scores_stay_between_minus_one_and_one(honest_masks: search.Mask) -> None:
    for x in honest_masks.tau.values():
        assert np.abs(np.asarray(x)).max() <= 1
        assert np.asarray(x).min() < 0  # what is not needed went


def test_a_seed_gives_the_same_mask_in_other_company(honest_masks: search.Mask) -> None:
    """In a batch of as many lanes: neighbours change nothing, bit for bit."""
    again = found(lanes([9, 8, 2, 7, 0, 6], 1.0))
    for site, x in again.tau.items():
        np.testing.assert_array_equal(x[2], honest_masks.tau[site][2])
        np.testing.assert_array_equal(x[4], honest_masks.tau[site][0])


def test_a_mask_that_is_too_small_is_reported_as_such() -> None:
    judge = discretise.Judge(CONFIG, PARAMS, MEANS, VALIDATION, honest=False)
    tau = {
        site: np.full(n, -1.0, np.float32) for site, n in nodes.shapes(CONFIG).items()
    }
    tau[nodes.MLP_IN][0, :2] = 1.0
    chosen = discretise.choose(judge, PATTERN, tau, target=0.001)
    assert not chosen.reached
    assert chosen.loss > 0.001
    assert len(chosen.curve) >= 3


def test_cleaning_removes_what_is_not_needed() -> None:
    judge = discretise.Judge(CONFIG, PARAMS, MEANS, VALIDATION, honest=False)
    flat = nodes.flatten(CONFIG, {s: np.asarray(x) for s, x in compiled.mask().items()})
    rng = np.random.default_rng(0)
    padded = (flat > 0) | (rng.random(len(flat)) < 0.3)
    mask, loss = discretise.clean(judge, PATTERN, padded, target=0.15)
    np.testing.assert_array_equal(mask, flat > 0)
    assert loss < 0.15


def test_the_slope_is_that_of_a_sigmoid() -> None:
    tau = {"x": jnp.array([-0.5, 0.0, 0.5])}
    value = search.hard(tau, 0.25)["x"]
    np.testing.assert_array_equal(value, [0.0, 0.0, 1.0])
    slope = jax.grad(lambda t: search.hard(t, 0.25)["x"].sum())(tau)["x"]
    sigmoid = jax.nn.sigmoid(tau["x"] / 0.25)
    np.testing.assert_allclose(slope, sigmoid * (1 - sigmoid) / 0.25, rtol=1e-6)
