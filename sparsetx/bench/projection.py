"""The projection of weights: one matrix in many ways, and all those of a large model,
alone and as a part of that model's step."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sparsetx import topk
from sparsetx.bench import opponent, training
from sparsetx.bench.timing import SHORTEST, USUAL, Asked, Row, changed, race
from sparsetx.bench.topk import compiled
from sparsetx.config import RunConfig
from sparsetx.projection import project_matrix

MATRIX, KEEP, ALIVE = (4096, 1024), 4096 * 1024 // 64, 4
LAYERS = {False: (1024, 8), True: (128, 2)}  # by whether the run is a quick one


def by_top_k(w: jax.Array) -> jax.Array:
    magnitude = jnp.abs(w)
    threshold = lax.top_k(magnitude.ravel(), KEEP)[0][-1]
    return jnp.where(magnitude >= threshold, w, 0)


def by_sort(w: jax.Array) -> jax.Array:
    magnitude = jnp.abs(w)
    threshold = jnp.sort(magnitude.ravel())[-KEEP]
    return jnp.where(magnitude >= threshold, w, 0)


def by_partition(w: np.ndarray) -> np.ndarray:
    """NumPy's, on one thread."""
    magnitude = np.abs(w)
    threshold = np.partition(magnitude, w.size - KEEP, axis=None)[w.size - KEEP]
    return np.where(magnitude >= threshold, w, np.float32(0))


def run(asked: Asked = USUAL) -> Iterator[Row]:
    yield from matrix(asked)
    d_model, layers = LAYERS[asked.quick]
    yield from whole_model(training.base(d_model, layers), asked)


def matrix(asked: Asked) -> list[Row]:
    ways: dict[str, Callable[[jax.Array], jax.Array]] = {
        "sparsetx": lambda w: topk.keep_largest(w, KEEP),
        f"sparsetx, {ALIVE} alive": lambda w: project_matrix(w, KEEP, ALIVE, 1),
        "jnp.sort, threshold": by_sort,
        "lax.top_k, threshold": by_top_k,
        "copy": lambda w: w + 1,
    }
    w = jax.random.normal(jax.random.key(1), MATRIX)
    beside = np.asarray(w)
    runs: dict[str, Callable[[], Any]] = {
        name: compiled(way, w) for name, way in ways.items()
    }
    runs["np.partition, threshold"] = lambda: by_partition(beside)
    theirs = {"PyTorch: kthvalue": ("matrix", {"shape": MATRIX, "k": KEEP})}
    with opponent.opponents(theirs) as others:
        title = f"keep 1/{w.size // KEEP} of a matrix {list(MATRIX)} float32"
        turns = asked.turns(7)
        rows = race(title, runs | others, turns, report=asked.report, shortest=SHORTEST)
    return changed(rows, elements=w.size)


def whole_model(config: RunConfig, asked: Asked) -> list[Row]:
    settings = training.as_settings(config)
    del settings["batch"]
    ours: dict[str, Callable[[], Any]] = {
        "sparsetx": training.projected(config),
        "the sparse step": training.Step(config),
    }
    with opponent.opponents({"PyTorch": ("projection", settings)}) as others:
        alive = config.sparsity.alive
        title = f"projection of {training.shape_of(config)}, {alive} kept alive"
        turns = asked.turns(5)
        rows = race(title, ours | others, turns, report=asked.report)
    step = next(row.seconds for row in rows if row.name == "the sparse step")
    return [
        row
        if row.name == "the sparse step" or not row.seconds
        else dataclasses.replace(row, note=f"{row.seconds / step:.0%} of the step")
        for row in rows
    ]
