"""Attention for a TPU, whose scores never leave the core: forward and backward kernels.

The twin of `attention_pattern` and the product with the values in `block.py`, for where
nothing looks at the pattern: causal, with a sink that only enlarges the denominator.
The forward pass keeps the logarithm of each denominator, from which the backward pass
computes the pattern again (Dao et al. 2022, FlashAttention).

A program of the grid does one sequence and one block of heads: as many as fill the 128
lanes of a register, side by side as the projection left them. Nothing is transposed in
HBM. Tiles of scores are [key, query], so that sums and maxima over keys add registers
up instead of moving data between lanes, and a head's rows of a transposed value matrix
are whole registers. Tiles of which the causal mask leaves nothing are not computed.

Lanes of other heads are set to zero in the queries once, not cut out of the keys in
every tile. It costs the matrix unit nothing: it makes 128 scores a cycle from vectors
of up to 128 channels, so heads of 16 channels leave 7/8 of it idle however they lie.
`cost` states that as `passes`.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from sparsetx.model import kernel_cost, mesh
from sparsetx.model.kernel_cost import Cost

LANES = 128  # of a vector register, and rows and columns of the matrix unit
ROWS = 16  # tokens are padded to a multiple: rows of a bfloat16 register
LEAST = 8  # channels of a head: rows of a float32 register
SPARE = 8 * 2**20  # bytes of a core's memory for values between instructions


@dataclass(frozen=True)
class Plan:
    """How [batch, length, heads x channels] is divided; sizes include padding."""

    batch: int
    length: int
    n_head: int
    channels: int  # of a head
    asked: int  # of them without padding
    dtype: Any
    interpret: bool = False

    @classmethod
    def of(cls, q_BLC: jax.Array, d_head: int, interpret: bool = False) -> "Plan":
        batch, length, wide = q_BLC.shape
        channels = max(LEAST, 1 << (d_head - 1).bit_length())
        n_head = wide // d_head
        if n_head * channels > LANES:
            n_head = _up(n_head, LANES // channels)
        unit = LANES if length > LANES else ROWS
        own = _up(length, unit)
        return cls(batch, own, n_head, channels, d_head, q_BLC.dtype, interpret)

    @property
    def tile(self) -> int:
        """Tokens of a tile of queries or keys."""
        return min(self.length, LANES)

    @property
    def tiles(self) -> int:
        return self.length // self.tile

    @property
    def heads(self) -> int:
        """Heads of a block."""
        return min(self.n_head, LANES // self.channels)

    @property
    def blocks(self) -> int:
        return self.n_head // self.heads

    @property
    def wide(self) -> int:
        """Channels of a block."""
        return self.heads * self.channels

    @property
    def scale(self) -> float:
        return 1 / math.sqrt(self.asked)

    def rows(self, h: int) -> slice:
        """Channels of a head of the block."""
        return slice(h * self.channels, (h + 1) * self.channels)

    def tokens(self, i: jax.Array | int) -> Any:
        """The place of a tile."""
        return pl.ds(pl.multiple_of(i * self.tile, self.tile), self.tile)

    def padded(self, x_BLC: jax.Array) -> jax.Array:
        """An array of the model as the kernels read it."""
        batch, length, wide = x_BLC.shape
        n_head = wide // self.asked
        added = [
            (0, 0),
            (0, self.length - length),
            (0, self.n_head - n_head),
            (0, self.channels - self.asked),
        ]
        if not any(many for _, many in added):
            return x_BLC
        x_BLHA = x_BLC.reshape(batch, length, n_head, self.asked)
        return jnp.pad(x_BLHA, added).reshape(batch, self.length, -1)

    def cut(self, x_BLC: jax.Array, like: jax.Array) -> jax.Array:
        """The reverse."""
        if x_BLC.shape == like.shape:
            return x_BLC
        _, length, wide = like.shape
        x_BLHA = x_BLC.reshape(self.batch, self.length, self.n_head, self.channels)
        x_BLHA = x_BLHA[:, :length, : wide // self.asked, : self.asked]
        return x_BLHA.reshape(like.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def attention(
    q_BLC: jax.Array,
    k_BLC: jax.Array,
    v_BLC: jax.Array,
    sink_H: jax.Array | None,
    d_head: int,
    interpret: bool = False,
) -> jax.Array:
    """Causal softmax of q·k/√A, times v, in the type of q: head after head in C."""
    return _attention(q_BLC, k_BLC, v_BLC, sink_H, d_head, interpret)[0]


def _attention(
    q_BLC: jax.Array,
    k_BLC: jax.Array,
    v_BLC: jax.Array,
    sink_H: jax.Array | None,
    d_head: int,
    interpret: bool,
) -> tuple[jax.Array, tuple[Any, ...]]:
    def one_device(given: Any, sink_H: Any) -> Any:
        return forward(Plan.of(given[0], d_head, interpret), *given, sink_H)

    given = q_BLC, k_BLC, v_BLC
    mix_BLC, total_BNHL = mesh.each_by_itself(one_device, given, sink_H)
    return mix_BLC, (*given, mix_BLC, total_BNHL, sink_H)


def _gradients(
    d_head: int, interpret: bool, kept: tuple[Any, ...], grad_BLC: jax.Array
) -> tuple[Any, ...]:
    *arrays, sink_H = kept

    def one_device(given: Any) -> Any:
        return backward(Plan.of(given[0], d_head, interpret), *given)

    *grads, dot_BNHL = mesh.each_by_itself(one_device, (*arrays, grad_BLC))
    if sink_H is None:
        return (*grads, None)
    # The sink's share of the softmax, times its gradient: its value is zero.
    total_BNHL = arrays[-1]
    logit_NH1 = _by_block(sink_H, total_BNHL.shape[1:3])[..., None]
    share_BNHL = jnp.exp(logit_NH1 - total_BNHL)
    grad_NH = -jnp.sum(share_BNHL * dot_BNHL, (0, 3))
    return (*grads, grad_NH.reshape(-1)[: sink_H.size].astype(sink_H.dtype))


attention.defvjp(_attention, _gradients)


def forward(
    plan: Plan,
    q_BLC: jax.Array,
    k_BLC: jax.Array,
    v_BLC: jax.Array,
    sink_H: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """The mixed values, and the logarithm of each denominator [B, block, head, L]."""
    nothing = jnp.full(plan.n_head, -jnp.inf)
    sink_H = nothing if sink_H is None else sink_H.astype(jnp.float32)
    sink_NH = _by_block(sink_H, (plan.blocks, plan.heads))
    padded = [plan.padded(x) for x in (q_BLC, k_BLC, v_BLC)]
    mix_BLC, total_BNHL = _call(
        plan,
        _forward_kernel,
        "attention_forward",
        (sink_NH, *padded),
        [pl.BlockSpec(memory_space=pltpu.SMEM), *[_channels(plan)] * 3],
        [(padded[0], _channels(plan)), (_totals(plan), _heads(plan))],
        [(plan.wide, plan.length), (plan.wide, plan.tile)],
        queries=1,
        cost=cost(plan, dots=2, forward=True),
    )
    return plan.cut(mix_BLC, q_BLC), total_BNHL


def backward(
    plan: Plan,
    q_BLC: jax.Array,
    k_BLC: jax.Array,
    v_BLC: jax.Array,
    mix_BLC: jax.Array,
    total_BNHL: jax.Array,
    grad_BLC: jax.Array,
) -> tuple[jax.Array, ...]:
    """Gradients of q, k and v; and of each query, gradient · mix [B, block, head, L]"""
    given = q_BLC, k_BLC, v_BLC, mix_BLC, grad_BLC.astype(q_BLC.dtype)
    padded = [plan.padded(x) for x in given]
    *grads, dot_BNHL = _call(
        plan,
        _backward_kernel,
        "attention_backward",
        (*padded, total_BNHL),
        [*[_channels(plan)] * 5, _heads(plan)],
        [*[(x, _channels(plan)) for x in padded[:3]], (total_BNHL, _heads(plan))],
        [(plan.wide, plan.length), *[(plan.length, plan.wide)] * 2]
        + [(plan.wide, plan.tile)],
        queries=2,
        cost=cost(plan, dots=5, forward=False),
    )
    return (*[plan.cut(x, q_BLC) for x in grads], dot_BNHL)


def cost(plan: Plan, dots: int, forward: bool) -> Cost:
    """What a kernel of so many products per tile of scores asks of a core."""
    tiles = plan.batch * plan.n_head * plan.tiles * (plan.tiles + 1) // 2
    scores = tiles * plan.tile**2
    rows = plan.batch * plan.length * plan.n_head * plan.channels
    own = jnp.dtype(plan.dtype).itemsize
    exact = 6 if own == 4 else 1  # float32 in parts of bfloat16
    each, row = (7, 8) if forward else (9, 9)
    arrays = 4 if forward else 8
    return Cost(
        products=2.0 * dots * scores * plan.channels,
        passes=2.0 * dots * scores * LANES * exact,
        vector=float(each * scores + row * rows),
        transcendental=float(scores),
        bytes=float(arrays * rows * own + 4 * rows // plan.channels),
    )


def _call(
    plan: Plan,
    kernel: Any,
    name: str,
    given: tuple[jax.Array, ...],
    specs: list[pl.BlockSpec],
    results: list[tuple[Any, pl.BlockSpec]],
    scratch: list[tuple[int, int]],
    queries: int,
    cost: Cost,
) -> Any:
    """Run a kernel over (sequence, block of heads). `queries`: how many masked copies
    of a tile of queries it holds."""
    masked = (plan.heads * plan.tile, plan.wide)
    held = [pltpu.VMEM(shape, jnp.float32) for shape in scratch]
    held += [pltpu.VMEM(masked, plan.dtype)] * queries
    blocks = [plan.length * plan.wide * x.dtype.itemsize for x in given if x.ndim == 3]
    blocks += [plan.length * plan.wide * x.dtype.itemsize for x, _ in results]
    room = sum(4 * math.prod(s) for s in scratch) + 2 * sum(blocks)
    run = pl.pallas_call(
        functools.partial(kernel, plan),
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x, _ in results],
        grid=(plan.batch, plan.blocks),
        in_specs=specs,
        out_specs=[spec for _, spec in results],
        scratch_shapes=held,
        interpret=plan.interpret,
        name=name,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"),
            vmem_limit_bytes=2 * room + SPARE,
        ),
        **kernel_cost.stated(cost),
    )
    return run(*given)


def _channels(plan: Plan) -> pl.BlockSpec:
    """A sequence of a block's channels."""
    return pl.BlockSpec((1, plan.length, plan.wide), lambda b, n: (b, 0, n))


def _heads(plan: Plan) -> pl.BlockSpec:
    """A number for each head of a block and token."""
    shape = (1, 1, plan.heads, plan.length)
    return pl.BlockSpec(shape, lambda b, n: (b, n, 0, 0))


def _totals(plan: Plan) -> jax.ShapeDtypeStruct:
    shape = (plan.batch, plan.blocks, plan.heads, plan.length)
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _by_block(x_H: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.pad(x_H, (0, math.prod(shape) - x_H.size)).reshape(shape)


def _forward_kernel(
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

        def key(j: jax.Array, state: list[Any], last: bool = False) -> list[Any]:
            k = k_ref[0, plan.tokens(j), :]
            return [
                _mixed(plan, k, own, v_turned[plan.rows(h), plan.tokens(j)], part, last)
                for h, own, part in zip(heads, _parts(plan, q_own), state, strict=True)
            ]

        state = [_empty(plan, sink_ref[block, h]) for h in heads]
        state = lax.fori_loop(0, i, key, state)
        for h, (top, total, mix) in enumerate(key(i, state, last=True)):
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
    last: bool,
) -> tuple[jax.Array, ...]:
    """The state of one head after one more tile of keys."""
    top, total, mix = state
    scores = _scores(plan, k, q, last)
    new = jnp.maximum(top, jnp.max(scores, 0, keepdims=True))
    part = jnp.exp(scores - new)
    faded = jnp.exp(top - new)
    total = faded * total + jnp.sum(part, 0, keepdims=True)
    return new, total, faded * mix + _product(plan, v_turned, part)


def _backward_kernel(
    plan: Plan,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    mix_ref: Any,
    grad_ref: Any,
    total_ref: Any,
    q_grad: Any,
    k_grad: Any,
    v_grad: Any,
    dot_ref: Any,
    k_turned: Any,
    k_sum: Any,
    v_sum: Any,
    turned: Any,
    q_own: Any,
    grad_own: Any,
) -> None:
    heads = range(plan.heads)
    _turn(plan, k_ref, k_turned)
    k_sum[...] = jnp.zeros_like(k_sum)
    v_sum[...] = jnp.zeros_like(v_sum)

    def query(i: jax.Array, _: None) -> None:
        here = plan.tokens(i)
        _mask_lanes(plan, q_ref[0, here, :], q_own)
        _mask_lanes(plan, grad_ref[0, here, :], grad_own)
        both = mix_ref[0, here, :].astype(jnp.float32) * grad_ref[0, here, :]
        turned[...] = both.T
        totals = [total_ref[0, 0, h : h + 1, here] for h in heads]
        dots = [jnp.sum(turned[plan.rows(h), :], 0, keepdims=True) for h in heads]
        for h in heads:
            dot_ref[0, 0, h : h + 1, here] = dots[h]

        def key(j: jax.Array, sums: list[Any], last: bool = False) -> list[Any]:
            there = plan.tokens(j)
            k, v = k_ref[0, there, :], v_ref[0, there, :]
            found, k_new, v_new = [], k_sum[there, :], v_sum[there, :]
            for h, q, grad in zip(
                heads, _parts(plan, q_own), _parts(plan, grad_own), strict=True
            ):
                part = jnp.exp(_scores(plan, k, q, last) - totals[h])
                slope = part * (_against(plan, v, grad) - dots[h])
                v_new += _product(plan, part, grad)
                k_new += _product(plan, slope, q)
                rows = k_turned[plan.rows(h), there]
                found.append(sums[h] + _product(plan, rows, slope))
            k_sum[there, :], v_sum[there, :] = k_new, v_new
            return found

        sums = [jnp.zeros((plan.channels, plan.tile)) for _ in heads]
        sums = lax.fori_loop(0, i, key, sums)
        for h, found in enumerate(key(i, sums, last=True)):
            turned[plan.rows(h), :] = found * plan.scale
        q_grad[0, here, :] = turned[...].T.astype(plan.dtype)

    lax.fori_loop(0, plan.tiles, query, None)
    k_grad[0, :, :] = (k_sum[...] * plan.scale).astype(plan.dtype)
    v_grad[0, :, :] = v_sum[...].astype(plan.dtype)


def _turn(plan: Plan, ref: Any, turned: Any) -> None:
    """[token, channel] as [channel, token], in float32: rows of heads are registers."""
    for i in range(plan.tiles):
        own = plan.tokens(i)
        turned[:, own] = ref[0, own, :].astype(jnp.float32).T


def _mask_lanes(plan: Plan, x: jax.Array, own: Any) -> None:
    """A copy of a tile for each head, in which the channels of others are zero."""
    lane = lax.broadcasted_iota(jnp.int32, x.shape, 1) // plan.channels
    for h in range(plan.heads):
        rows = slice(h * plan.tile, (h + 1) * plan.tile)
        own[rows, :] = jnp.where(lane == h, x, jnp.zeros((), x.dtype))


def _parts(plan: Plan, own: Any) -> Iterator[jax.Array]:
    """Those copies, one at a time."""
    for h in range(plan.heads):
        yield own[h * plan.tile : (h + 1) * plan.tile, :]


def _scores(plan: Plan, k: jax.Array, q: jax.Array, last: bool) -> jax.Array:
    """[key, query]; in the last tile a query sees keys up to itself."""
    scores = _against(plan, k, q) * plan.scale
    if not last:
        return scores
    key, query = (lax.broadcasted_iota(jnp.int32, scores.shape, n) for n in (0, 1))
    return jnp.where(key <= query, scores, -jnp.inf)


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


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
