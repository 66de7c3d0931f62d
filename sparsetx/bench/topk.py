"""Exact top-k against sorting, against lax.top_k, and against a mere copy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import topk
from sparsetx.bench.timing import Row, race
from sparsetx.projection import project_matrix

ROWS, WIDTH, ROW_KEEP = 8192, 512, 128
MATRIX, MATRIX_KEEP = (4096, 1024), 4096 * 1024 // 64


def rows_by_top_k(x: jax.Array) -> jax.Array:
    """What one writes first; keeps more than k where there are ties."""
    magnitude = jnp.abs(x)
    threshold = lax.top_k(magnitude, ROW_KEEP)[0][:, -1:]
    return jnp.where(magnitude >= threshold, x, 0)


def matrix_by_top_k(w: jax.Array) -> jax.Array:
    magnitude = jnp.abs(w)
    threshold = lax.top_k(magnitude.ravel(), MATRIX_KEEP)[0][-1]
    return jnp.where(magnitude >= threshold, w, 0)


def matrix_by_sort(w: jax.Array) -> jax.Array:
    magnitude = jnp.abs(w)
    threshold = jnp.sort(magnitude.ravel())[-MATRIX_KEEP]
    return jnp.where(magnitude >= threshold, w, 0)


def run() -> list[Row]:
    x = jax.random.normal(jax.random.key(0), (ROWS, WIDTH))
    w = jax.random.normal(jax.random.key(1), MATRIX)
    rows: dict[str, Callable[[jax.Array], jax.Array]] = {
        "sparsetx": lambda x: topk.keep_largest(x, ROW_KEEP, axis=-1),
        "lax.top_k + threshold": rows_by_top_k,
        "copy": lambda x: x + 1,
    }
    matrix: dict[str, Callable[[jax.Array], jax.Array]] = {
        "sparsetx": lambda w: topk.keep_largest(w, MATRIX_KEEP),
        "sparsetx, 4 alive": lambda w: project_matrix(w, MATRIX_KEEP, 4, 1),
        "jnp.sort + threshold": matrix_by_sort,
        "lax.top_k + threshold": matrix_by_top_k,
        "copy": lambda w: w + 1,
    }
    out = _race(f"rows [{ROWS}, {WIDTH}] f32, k = 1/4", rows, x)
    out += _race("rows, bfloat16", rows, x.astype(jnp.bfloat16))
    return out + _race(f"matrix {list(MATRIX)} f32, k = 1/64", matrix, w, rounds=3)


def _race(
    group: str,
    contestants: dict[str, Callable[[jax.Array], jax.Array]],
    x: jax.Array,
    rounds: int = 5,
) -> list[Row]:
    compiled = {name: jax.jit(f).lower(x).compile() for name, f in contestants.items()}
    runs = {name: (lambda f=f: f(x)) for name, f in compiled.items()}
    return race(group, runs, rounds)
