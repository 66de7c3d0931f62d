"""Exactly k, the right ones, ties by index: against a sort, on every kind of value."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

from sparsetx import topk
from sparsetx.topk import bisection, blocks

SHAPES: list[tuple[tuple[int, ...], Any]] = [
    ((1,), None),
    ((17,), None),
    ((8, 8), None),
    ((3, 4, 5), None),
    ((64,), 0),
    ((6, 33), -1),
    ((33, 6), 0),
    ((2, 3, 7), 1),
    ((2, 5, 7), (1, 2)),
    ((4, 3, 5), (0, 2)),
    ((1, 129), 1),
    ((5, 1), 1),
]
DTYPES = ("float32", "bfloat16", "float16")
# Types of two bytes take the same way as each other: some in slow tests only.
EACH = ["float32", "bfloat16", pytest.param("float16", marks=pytest.mark.slow)]
LONG = ["float32", *(pytest.param(t, marks=pytest.mark.slow) for t in DTYPES[1:])]
# What makes selection hard: ties, both zeros, subnormals, infinities, NaN.
PALETTES = [
    [0.0, -0.0],
    [1.0, -1.0, 1.0],
    [0.0, -0.0, 1e-40, -1e-40, 1e-7, 6e-8],
    [np.inf, -np.inf, 1.0, 3e38, -3e38],
    [np.nan, 1.0, -2.0, 0.0],
    [np.nan],
    [np.nan, np.inf, -np.inf, 0.0, 1e-42],
]


def values(seed: int, palette: int, shape: tuple[int, ...], dtype: str) -> Any:
    """An array from a palette, or from a normal distribution, fine or coarse."""
    rng = np.random.default_rng(seed)
    if palette < len(PALETTES):
        x = rng.choice(np.array(PALETTES[palette], np.float32), size=shape)
    else:
        x = rng.normal(size=shape).astype(np.float32)
        x = x.round(1) if palette == len(PALETTES) else x
    with np.errstate(over="ignore"):
        return x.astype(jnp.dtype(dtype))


def sorted_mask(x: np.ndarray, k: int, axis: Any) -> np.ndarray:
    """The oracle: a stable sort of each slice, numbers before NaN."""
    magnitude = np.abs(x.astype(np.float64))
    magnitude[np.isnan(magnitude)] = -1.0
    axes = tuple(range(x.ndim)) if axis is None else np.atleast_1d(axis) % x.ndim
    front = np.moveaxis(magnitude, axes, range(-len(axes), 0))
    flat = front.reshape(*front.shape[: x.ndim - len(axes)], -1)
    order = np.argsort(-flat, axis=-1, kind="stable")
    mask = np.zeros(flat.shape, bool)
    np.put_along_axis(mask, order[..., :k], True, axis=-1)
    return np.moveaxis(mask.reshape(front.shape), range(-len(axes), 0), axes)


@functools.partial(jax.jit, static_argnums=2)
def both(x: jax.Array, k: jax.Array, axis: Any) -> tuple[jax.Array, jax.Array]:
    return topk.keep_mask(x, k, axis), topk.keep_largest(x, k, axis)


@pytest.mark.parametrize("dtype", EACH)
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    palette=st.integers(0, len(PALETTES) + 1),
    k=st.integers(0, 140),
)
def test_against_a_sort(
    shape: tuple[int, ...], axis: Any, dtype: str, seed: int, palette: int, k: int
) -> None:
    """12 shapes x 3 types x 60 = 2 160 examples; k is traced, so 36 programs."""
    x = values(seed, palette, shape, dtype)
    mask, kept = both(x, k, axis)
    wanted = sorted_mask(x, k, axis)
    np.testing.assert_array_equal(mask, wanted)
    # Bit for bit: what is kept is untouched (the sign of -0 too), the rest is +0.
    bits = np.asarray(kept).view(f"u{kept.dtype.itemsize}")
    original = np.where(wanted, x, np.zeros((), x.dtype)).view(bits.dtype)
    np.testing.assert_array_equal(bits, original)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_bits_per_pass_change_nothing(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerators decide several bits per pass; this machine's tests run that too."""

    def ends(ranks: Any, over: Any, wanted: Any, *_: Any) -> Any:
        return bisection._elsewhere(over, ranks, wanted, step)

    monkeypatch.setattr(bisection, "ends", ends)
    select = jax.jit(lambda x, k: topk.select([topk.rank(x)], [k], [None])[0])
    for dtype in DTYPES:
        for seed in range(20):
            x = values(seed, seed % 9, (7, 9), dtype)
            k = seed * 11 % 66
            np.testing.assert_array_equal(select(x, k), sorted_mask(x, k, None))


def alone(f: Any) -> Any:
    """As a device runs it that knows of no other: arrays are laid out in pieces."""
    one = jax.make_mesh((1,), ("one",), axis_types=(AxisType.Auto,))
    everywhere = PartitionSpec()
    return jax.jit(
        jax.shard_map(
            f, mesh=one, in_specs=everywhere, out_specs=everywhere, check_vma=False
        )
    )


@pytest.mark.parametrize("dtype", LONG)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5, n), -1) for n in (31, 32, 96, 1008, 1023, 1024, 1040, 2048, 2085, 4112)]
    + [((2, 3, 64), (1, 2)), ((7, 300), None), ((2, 3, 7), 1), ((3, 40, 5), (0, 1))],
)
def test_rows_in_pieces(shape: tuple[int, ...], axis: Any, dtype: str) -> None:
    """Around the size of a piece, and its multiples; whole rows that tie too; and
    axes that are not the last ones, which are counted where they lie."""
    select = alone(lambda x, k: topk.keep_mask(x, k, axis))
    for palette in (0, 3, 9):
        x = np.array(values(sum(shape), palette, shape, dtype))
        x[1], x[-1] = 0, 1.5
        for k in (1, shape[-1] // 4, shape[-1] - 1):
            mask = select(jnp.asarray(x), jnp.int32(k))
            np.testing.assert_array_equal(mask, sorted_mask(x, k, axis))


def in_blocks(monkeypatch: pytest.MonkeyPatch, entries: int) -> list[int]:
    """Blocks of so many entries; and how many rows each one had, as programs are
    traced."""
    rows: list[int] = []
    find = blocks.ends

    def noted(*args: Any) -> Any:
        rows.append(args[2])
        return find(*args)

    monkeypatch.setattr(blocks, "ENTRIES", entries)
    monkeypatch.setattr(blocks, "FEWEST", 2)
    monkeypatch.setattr(blocks, "cores", lambda: 1)
    monkeypatch.setattr(blocks, "ends", noted)
    return rows


@pytest.mark.parametrize("dtype", EACH)
@pytest.mark.parametrize(
    ("shape", "axis", "rows"),
    [
        ((13, 40), -1, 7),  # two blocks, of which the second overlaps the first
        ((12, 64), 1, 4),
        ((3, 4, 64), -1, 4),
        ((7, 5, 8), (1, 2), 0),  # 280 entries are not divided
        ((14, 5, 8), (1, 2), 7),
        ((4, 300), -1, 1),  # a row is longer than a block
    ],
    ids=str,
)
def test_rows_in_blocks(
    shape: tuple[int, ...],
    axis: Any,
    rows: int,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every kind of value, in rows that tie and rows that do not; each k."""
    seen = in_blocks(monkeypatch, 256)
    select = alone(lambda x, k: topk.keep_mask(x, k, axis))
    wide = int(np.prod(np.take(shape, axis)))
    for palette in range(len(PALETTES) + 2):
        x = np.array(values(palette, palette, shape, dtype))
        x[1], x[-1] = 0, 1.5
        for k in (0, 1, wide // 4, wide - 1, wide):
            mask = select(jnp.asarray(x), jnp.int32(k))
            np.testing.assert_array_equal(mask, sorted_mask(x, k, axis))
    assert seen == ([rows] if rows else [])


def test_blocks_of_several_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other widths, types and k than each other's, and a k for each row."""
    seen = in_blocks(monkeypatch, 256)
    xs = [values(0, 8, (9, 40), "float32"), values(1, 9, (9, 64), "bfloat16")]
    ks = [np.arange(9)[:, None] * 5, np.full((9, 1), 16)]
    masks = alone(lambda *xs: topk.select([topk.rank(x) for x in xs], ks, [-1, -1]))(
        *map(jnp.asarray, xs)
    )
    for mask, x, k in zip(masks, xs, ks, strict=True):
        for row, own, count in zip(mask, x, k[:, 0], strict=True):
            np.testing.assert_array_equal(row, sorted_mask(own, count, None))
    assert seen == [3]


def test_blocks_inside_vmap_scan_grad_and_remat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = jnp.asarray(values(5, 9, (4, 20, 32), "float32"))
    policy = jax.checkpoint_policies.save_only_these_names(*topk.REMAT_NAMES)

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(topk.keep_largest(jnp.sin(x), 8, axis=-1)) ** 2)

    def scanned(x: jax.Array) -> jax.Array:
        again = jax.checkpoint(total, policy=policy)
        return jax.lax.scan(lambda c, part: (c + again(part), None), 0.0, x)[0]

    wanted = jax.grad(total)(x)
    seen = in_blocks(monkeypatch, 128)
    for f in (jax.grad(total), jax.grad(scanned), jax.vmap(jax.grad(total))):
        np.testing.assert_allclose(alone(f)(x), wanted, rtol=1e-6)
    assert set(seen) == {4}

    def loops(policy: Any) -> int:
        f = alone(jax.grad(jax.checkpoint(total, policy=policy)))
        return str(jax.make_jaxpr(f)(x)).count("while[")

    forget = jax.checkpoint_policies.nothing_saveable
    assert loops(forget) == 2 * loops(policy) > 0


def test_what_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """One selection, columns, unequal numbers of rows, and arrays of many devices."""
    seen = in_blocks(monkeypatch, 64)
    x, y = (jnp.asarray(values(1, 9, (n, 40), "float32")) for n in (12, 24))
    for axis in (None, 0):
        mask = alone(lambda x, axis=axis: topk.keep_mask(x, 5, axis))(x)
        np.testing.assert_array_equal(mask, sorted_mask(np.asarray(x), 5, axis))
    masks = alone(lambda *xs: topk.keep_largest_each(xs, [5, 7], -1))(x, y)
    assert [int(jnp.count_nonzero(m)) for m in masks] == [12 * 5, 24 * 7]
    both(x, jnp.int32(5), -1)
    assert jax.device_count() > 1
    assert seen == []


def test_several_arrays_in_one_loop() -> None:
    """Of other types, shapes and axes than each other: as if each were alone."""
    xs = [
        values(0, 8, (4, 9), "float32"),
        values(1, 8, (3, 5), "bfloat16"),
        values(2, 1, (2, 3, 4), "float32"),
    ]
    axes = [None, -1, (1, 2)]
    ks = [7, 2, 5]
    masks = jax.jit(lambda xs, ks: topk.select([topk.rank(x) for x in xs], ks, axes))(
        [jnp.asarray(x) for x in xs], ks
    )
    for mask, x, k, axis in zip(masks, xs, ks, axes, strict=True):
        np.testing.assert_array_equal(mask, sorted_mask(x, k, axis))


def test_one_compilation_for_every_k() -> None:
    compiled = 0

    @jax.jit
    def keep(x: jax.Array, k: jax.Array) -> jax.Array:
        nonlocal compiled
        compiled += 1
        return topk.keep_largest(x, k)

    x = jnp.arange(100.0)
    counts = [int(jnp.count_nonzero(keep(x + 1, k))) for k in range(0, 110, 7)]
    assert counts == [min(k, 100) for k in range(0, 110, 7)]
    assert compiled == 1


def test_k_may_differ_per_slice() -> None:
    x = values(3, 9, (5, 8), "float32")
    k = np.array([[0], [1], [3], [8], [5]])
    mask = topk.keep_mask(x, k, axis=1)
    assert np.asarray(mask).sum(1).tolist() == k.ravel().tolist()


def test_gradient_through_kept_entries_only() -> None:
    x = jnp.array([3.0, -1.0, 2.0, 2.0, 0.5])
    gradient = jax.grad(lambda x: jnp.sum(topk.keep_largest(x, 2) ** 2))(x)
    assert gradient.tolist() == [6.0, 0.0, 4.0, 0.0, 0.0]


def test_inside_vmap_scan_grad_and_remat() -> None:
    x = jnp.asarray(values(5, 9, (4, 3, 16), "float32"))
    policy = jax.checkpoint_policies.save_only_these_names(*topk.REMAT_NAMES)

    def slice_sum(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(topk.keep_largest(jnp.sin(x), 5, axis=-1)) ** 2)

    def scanned(f: Any, x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda c, row: (c + f(row), None), 0.0, x)[0]

    slope = jax.jit(jax.grad(slice_sum))
    wanted = sum(np.asarray(slope(row)).sum() for row in x)
    for f in (slice_sum, jax.checkpoint(slice_sum, policy=policy)):
        each = jax.jit(jax.grad(f))
        lone = np.stack([each(row) for row in x])
        mapped = jax.jit(jax.vmap(jax.grad(f)))(x)
        np.testing.assert_allclose(mapped, lone, rtol=1e-6)
        through_scan = jax.jit(jax.grad(functools.partial(scanned, f)))(x)
        np.testing.assert_allclose(through_scan, lone, rtol=1e-6)
        np.testing.assert_allclose(through_scan.sum(), wanted, rtol=1e-5)
    masks = jax.vmap(lambda row: topk.keep_mask(row, 7))(x)
    for mask, row in zip(masks, x, strict=True):
        np.testing.assert_array_equal(mask, topk.keep_mask(row, 7))


def test_remat_never_selects_twice() -> None:
    """With the names saved, the backward pass has no loop of its own."""

    def loss(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(topk.keep_largest(jnp.sin(x), 5, axis=-1)) ** 2)

    def loops(policy: Any) -> int:
        f = jax.grad(jax.checkpoint(loss, policy=policy))
        return str(jax.make_jaxpr(f)(jnp.ones((3, 16)))).count("while[")

    save = jax.checkpoint_policies.save_only_these_names(*topk.REMAT_NAMES)
    forget = jax.checkpoint_policies.nothing_saveable
    assert loops(forget) == 2 * loops(save) > 0


def test_nonfinite_counts_what_selection_ignores() -> None:
    x = jnp.array([np.nan, np.inf, -np.inf, 1.0, 0.0])
    assert int(topk.nonfinite(x)) == 3
    assert int(topk.nonfinite(jnp.ones(4))) == 0


def test_empty_arrays_and_scalars() -> None:
    assert topk.keep_largest(jnp.zeros((0,)), 3).shape == (0,)
    assert topk.keep_largest(jnp.zeros((4, 0)), 3, axis=1).shape == (4, 0)
    assert float(topk.keep_largest(jnp.float32(2.0), 1)) == 2.0
    assert float(topk.keep_largest(jnp.float32(2.0), 0)) == 0.0


@pytest.mark.parametrize(
    ("x", "k", "axis", "message"),
    [
        (jnp.arange(3), 1, None, "wanted an array of float32, bfloat16, float16"),
        (jnp.ones(3), -1, None, "0 or more; got -1"),
        (jnp.ones(3), 1.5, None, "as an integer; got 1.5"),
        (jnp.ones(3), True, None, "as an integer; got True"),
        (jnp.ones((3, 3)), 1, 2, r"of shape \(3, 3\), got axis=2"),
        (jnp.ones((3, 3)), 1, (0, 0), r"distinct axes .* got axis=\(0, 0\)"),
    ],
)
def test_refusals(x: jax.Array, k: Any, axis: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        topk.keep_largest(x, k, axis)


def test_too_many_entries_for_one_selection() -> None:
    """Counts are 32 bits wide; what matters is the slice, not the array."""
    huge = jax.ShapeDtypeStruct((2**16, 2**16), "float32")
    jax.eval_shape(lambda x: topk.keep_largest(x, 1, axis=1), huge)
    with pytest.raises(ValueError, match=r"at most 2\*\*31 - 1 entries"):
        jax.eval_shape(lambda x: topk.keep_largest(x, 1), huge)
