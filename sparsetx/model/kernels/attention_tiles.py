"""What a TPU's core does for one sequence and one block of heads of attention.

The bodies of the two kernels of `attention_kernel.py`, over refs to the core's memory.
Both go through tiles of queries and, for each, tiles of keys up to it; a tile of scores
is [key, query], one head's at a time.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from sparsetx.model.kernels.plan import Plan

Seen = jax.Array | None  # None: all keys of a tile are seen


def forward(
    plan: Plan,
    sink_ref: Any,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    mix_ref: Any,
    total_ref: Any,
    v_turned: Any,
    turned: Any,
    q_own: Any,
) -> None:
    block, heads = pl.program_id(1), range(plan.heads)
    _turn(plan, v_ref, v_turned)

    def query(i: jax.Array, _: None) -> None:
        _mask_lanes(plan, q_ref[0, plan.tokens(i), :], q_own)

        def key(j: jax.Array, state: list[Any], seen: Seen = None) -> list[Any]:
            k = k_ref[0, plan.tokens(j), :]
            return [
                _mixed(plan, k, own, v_turned[plan.rows(h), plan.tokens(j)], part, seen)
                for h, own, part in zip(heads, _parts(plan, q_own), state, strict=True)
            ]

        state = [_empty(plan, sink_ref[block, h]) for h in heads]
        state = lax.fori_loop(0, i, key, state)
        for h, (top, total, mix) in enumerate(key(i, state, _seen(plan))):
            turned[plan.rows(h), :] = mix / total
            total_ref[0, 0, h : h + 1, plan.tokens(i)] = top + jnp.log(total)
        mix_ref[0, plan.tokens(i), :] = turned[...].T.astype(plan.dtype)

    lax.fori_loop(0, plan.tiles, query, None)


def _empty(plan: Plan, sink: jax.Array) -> tuple[jax.Array, ...]:
    """(largest score, denominator, numerator) before any key: the sink alone."""
    top = jnp.full((1, plan.tile), sink)
    total = jnp.where(top > -jnp.inf, 1.0, 0.0)
    return top, total, jnp.zeros((plan.channels, plan.tile))


def _mixed(
    plan: Plan,
    k: jax.Array,
    q: jax.Array,
    v_turned: jax.Array,
    state: tuple[jax.Array, ...],
    seen: Seen,
) -> tuple[jax.Array, ...]:
    """The state of one head after one more tile of keys."""
    top, total, mix = state
    scores = _scores(plan, k, q, seen)
    new = jnp.maximum(top, jnp.max(scores, 0, keepdims=True))
    part = jnp.exp(scores - new)
    faded = jnp.exp(top - new)
    total = faded * total + jnp.sum(part, 0, keepdims=True)
    return new, total, faded * mix + _product(plan, v_turned, part)


class Backward(NamedTuple):
    """The refs of the backward kernel: what it is given, what it returns, and arrays
    of its own (sums over queries; matrices with tokens along lanes; masked copies)."""

    q: Any
    k: Any
    v: Any
    mix: Any
    grad: Any
    total: Any
    q_grad: Any
    k_grad: Any
    v_grad: Any
    dot: Any
    k_turned: Any
    k_sum: Any
    v_sum: Any
    turned: Any
    q_own: Any
    grad_own: Any


def backward(plan: Plan, *refs: Any) -> None:
    own = Backward(*refs)
    _turn(plan, own.k, own.k_turned)
    own.k_sum[...] = jnp.zeros_like(own.k_sum)
    own.v_sum[...] = jnp.zeros_like(own.v_sum)
    lax.fori_loop(0, plan.tiles, lambda i, _: _gradients_of(plan, own, i), None)
    own.k_grad[0, :, :] = (own.k_sum[...] * plan.scale).astype(plan.dtype)
    own.v_grad[0, :, :] = own.v_sum[...].astype(plan.dtype)


def _gradients_of(plan: Plan, own: Backward, i: jax.Array) -> None:
    """What a tile of queries adds to the gradients of keys and values, and its own."""
    heads, here = range(plan.heads), plan.tokens(i)
    _mask_lanes(plan, own.q[0, here, :], own.q_own)
    _mask_lanes(plan, own.grad[0, here, :], own.grad_own)
    both = own.mix[0, here, :].astype(jnp.float32) * own.grad[0, here, :]
    own.turned[...] = both.T
    totals = [own.total[0, 0, h : h + 1, here] for h in heads]
    dots = [jnp.sum(own.turned[plan.rows(h), :], 0, keepdims=True) for h in heads]
    for h in heads:
        own.dot[0, 0, h : h + 1, here] = dots[h]

    def key(j: jax.Array, sums: list[Any], seen: Seen = None) -> list[Any]:
        there = plan.tokens(j)
        k, v = own.k[0, there, :], own.v[0, there, :]
        found, k_new, v_new = [], own.k_sum[there, :], own.v_sum[there, :]
        for h, q, grad in zip(
            heads, _parts(plan, own.q_own), _parts(plan, own.grad_own), strict=True
        ):
            part = jnp.exp(_scores(plan, k, q, seen) - totals[h])
            slope = part * (_against(plan, v, grad) - dots[h])
            slope = slope.astype(plan.dtype)
            v_new += _product(plan, part, grad)
            k_new += _product(plan, slope, q)
            rows = own.k_turned[plan.rows(h), there]
            found.append(sums[h] + _product(plan, rows, slope))
        own.k_sum[there, :], own.v_sum[there, :] = k_new, v_new
        return found

    sums = [jnp.zeros((plan.channels, plan.tile)) for _ in heads]
    sums = lax.fori_loop(0, i, key, sums)
    for h, found in enumerate(key(i, sums, _seen(plan))):
        own.turned[plan.rows(h), :] = found * plan.scale
    own.q_grad[0, here, :] = own.turned[...].T.astype(plan.dtype)


def _turn(plan: Plan, ref: Any, turned: Any) -> None:
    """[token, channel] as [channel, token], in float32: rows of heads are registers."""
    for i in range(plan.tiles):
        own = plan.tokens(i)
        turned[:, own] = ref[0, own, :].astype(jnp.float32).T


def _mask_lanes(plan: Plan, x: jax.Array, own: Any) -> None:
    """A copy of a tile for each head, in which the channels of others are zero."""
    shift = plan.channels.bit_length() - 1  # a power of two
    lane = lax.broadcasted_iota(jnp.int32, x.shape, 1) >> shift
    for h in range(plan.heads):
        rows = slice(h * plan.tile, (h + 1) * plan.tile)
        own[rows, :] = jnp.where(lane == h, x, jnp.zeros((), x.dtype))


def _parts(plan: Plan, own: Any) -> Iterator[jax.Array]:
    """Those copies, one at a time."""
    for h in range(plan.heads):
        yield own[h * plan.tile : (h + 1) * plan.tile, :]


def _seen(plan: Plan) -> jax.Array:
    """[key, query] of a query's last tile, in which it sees keys up to itself."""
    shape = plan.tile, plan.tile
    key, query = (lax.broadcasted_iota(jnp.int32, shape, n) for n in (0, 1))
    return key <= query


def _scores(plan: Plan, k: jax.Array, q: jax.Array, seen: Seen) -> jax.Array:
    scores = _against(plan, k, q) * plan.scale
    return scores if seen is None else jnp.where(seen, scores, -jnp.inf)


def _product(plan: Plan, left: jax.Array, right: jax.Array) -> jax.Array:
    """left @ right, multiplied in the model's type, summed in float32."""
    return _multiply(plan, left, right, 0)


def _against(plan: Plan, left: jax.Array, right: jax.Array) -> jax.Array:
    """left @ right.T"""
    return _multiply(plan, left, right, 1)


def _multiply(plan: Plan, left: jax.Array, right: jax.Array, over: int) -> jax.Array:
    exact = plan.dtype == jnp.float32
    found: jax.Array = lax.dot_general(
        left.astype(plan.dtype),
        right.astype(plan.dtype),
        (((1,), (over,)), ((), ())),
        precision=lax.Precision.HIGHEST if exact else None,
        preferred_element_type=jnp.float32,
    )
    return found
