"""Shuffled weights: the same zeros, the same values, other places."""

from typing import Any

import numpy as np

from sparsetx.model import parameters
from sparsetx.model.shuffled_weights import shuffled
from tests import small

CONFIG = small.SMALL
KINDS = {p.path: p for p in parameters.table(CONFIG)}


def sparse() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    params = small.params_of(CONFIG)
    return parameters.replaced(
        params,
        {
            path: np.where(rng.random(w.shape) < 0.7, 0, np.asarray(w))
            for path, w in parameters.leaves(params)
        },
    )


def test_zeros_stay_and_values_move() -> None:
    params = sparse()
    before = dict(parameters.leaves(params))
    after = dict(parameters.leaves(shuffled(CONFIG, params, seed=1)))
    for path, w in before.items():
        if KINDS[path].kind != "matrix":
            np.testing.assert_array_equal(after[path], w)
            continue
        np.testing.assert_array_equal(after[path] != 0, w != 0)
        assert (after[path] != w).any()
        layers = zip(after[path], w, strict=True) if KINDS[path].stacked else []
        for ours, theirs in layers or [(after[path], w)]:
            np.testing.assert_array_equal(np.sort(ours, None), np.sort(theirs, None))


def test_the_gentler_null_keeps_the_embeddings() -> None:
    params = sparse()
    before = dict(parameters.leaves(params))
    after = dict(parameters.leaves(shuffled(CONFIG, params, seed=1, blocks_only=True)))
    for path, w in before.items():
        moved = KINDS[path].kind == "matrix" and KINDS[path].stacked
        assert (after[path] != w).any() == moved


def test_another_seed_is_another_model() -> None:
    params = sparse()
    one = dict(parameters.leaves(shuffled(CONFIG, params, seed=1)))
    same = dict(parameters.leaves(shuffled(CONFIG, params, seed=1)))
    other = dict(parameters.leaves(shuffled(CONFIG, params, seed=2)))
    assert all((one[path] == same[path]).all() for path in one)
    assert any((one[path] != other[path]).any() for path in one)
