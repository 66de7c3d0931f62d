"""Exact top-k of rows, by their width: against lax.top_k, PyTorch, and a mere copy."""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import topk
from sparsetx.bench import opponent
from sparsetx.bench.timing import SHORTEST, USUAL, Asked, Row, changed, race

ROWS, WIDTHS, NARROW = 2048, (512, 1024, 2048, 4096, 8192), (960, 128)
DTYPES = ("float32", "bfloat16")
KEPT = 4  # one in four
TORCH = "PyTorch: topk, scatter"


def rows_by_top_k(x: jax.Array, k: int) -> jax.Array:
    """What one writes first; keeps more than k where there are ties."""
    magnitude = jnp.abs(x)
    threshold = lax.top_k(magnitude, k)[0][:, -1:]
    return jnp.where(magnitude >= threshold, x, jnp.zeros((), x.dtype))


def run(asked: Asked = USUAL) -> Iterator[Row]:
    shapes = [NARROW] + [(ROWS, width) for width in WIDTHS]
    for dtype in DTYPES:
        for shape in shapes[:3] if asked.quick else shapes:
            yield from _rows(shape, dtype, asked)


def _rows(shape: tuple[int, int], dtype: str, asked: Asked) -> list[Row]:
    k = shape[1] // KEPT
    x = jax.random.normal(jax.random.key(0), shape).astype(dtype)
    ways: dict[str, Callable[[jax.Array], jax.Array]] = {
        "sparsetx": lambda x: topk.keep_largest(x, k, axis=-1),
        "lax.top_k, threshold": functools.partial(rows_by_top_k, k=k),
        "copy": lambda x: x + 1,
    }
    theirs = {"shape": shape, "k": k, "dtype": dtype}
    with opponent.opponents({TORCH: ("rows", theirs)}) as others:
        runs = {name: compiled(way, x) for name, way in ways.items()} | others
        title = f"keep 1/{KEPT} of each row, {list(shape)} {dtype}"
        turns = asked.turns(7)
        rows = race(title, runs, turns, report=asked.report, shortest=SHORTEST)
    rows = changed(rows, elements=x.size)
    if shape == NARROW:  # of fewer rows: no point of the plot
        return rows
    plot = f"keep 1/{KEPT} of each row, {dtype}"
    return changed(rows, size=shape[1], plot=plot, unit="width of a row")


def compiled(
    way: Callable[[jax.Array], jax.Array], x: jax.Array
) -> Callable[[], jax.Array]:
    """`way` of x, compiled now."""
    program = jax.jit(way).lower(x).compile()

    def turn() -> jax.Array:
        found: jax.Array = program(x)
        return found

    return turn
