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
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from sparsetx.model import mesh
from sparsetx.model.kernels import attention_tiles
from sparsetx.model.kernels.plan import LANES, Plan
from sparsetx.system import kernel_cost
from sparsetx.system.kernel_cost import Cost

SPARE = 8 * 2**20  # bytes of a core's memory for values between instructions


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
        q_BLC, k_BLC, v_BLC = given
        plan = Plan.of(q_BLC, d_head, interpret)
        return forward(plan, q_BLC, k_BLC, v_BLC, sink_H)

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
    logit_1NH1 = _by_block(sink_H, total_BNHL.shape[1:3])[None, ..., None]
    share_BNHL = jnp.exp(logit_1NH1 - total_BNHL)
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
        attention_tiles.forward,
        "attention_forward",
        (sink_NH, *padded),
        [pl.BlockSpec(memory_space=pltpu.SMEM), *[_channels(plan)] * 3],
        [(padded[0], _channels(plan)), (_totals(plan), _heads(plan))],
        [(plan.wide, plan.length), (plan.wide, plan.tile)],
        queries=1,
        cost=cost(plan, forward=True),
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
        attention_tiles.backward,
        "attention_backward",
        (*padded, total_BNHL),
        [*[_channels(plan)] * 5, _heads(plan)],
        [*[(x, _channels(plan)) for x in padded[:3]], (total_BNHL, _heads(plan))],
        [
            (plan.wide, plan.length),
            (plan.length, plan.wide),
            (plan.length, plan.wide),
            (plan.wide, plan.tile),
        ],
        queries=2,
        cost=cost(plan, forward=False),
    )
    return (*[plan.cut(x, q_BLC) for x in grads], dot_BNHL)


def cost(plan: Plan, forward: bool) -> Cost:
    """What the forward or backward kernel asks of a core. (Of vectors that are a token
    of one head long, and of maxima over tiles, nothing is counted.)"""
    diagonal = plan.batch * plan.n_head * plan.tiles * plan.tile**2
    scores = diagonal * (plan.tiles + 1) // 2
    entries = plan.batch * plan.length * plan.n_head * plan.channels
    size = jnp.dtype(plan.dtype).itemsize
    exact = size == 4  # float32 is multiplied in six passes of parts, and not rounded
    dots, each, arrays = (2, 5, 4) if forward else (5, 7, 8)
    rounded = 0 if exact else 1 if forward else 2  # scores become bfloat16
    # A head's rows of a turned matrix are rounded and summed up for every tile.
    row = (2 if forward else 1) + (not exact)
    work = each + rounded + row * plan.channels / plan.tile
    whole = (4 if exact else 6) if forward else (7 if exact else 13)
    copied = plan.heads * (dots // 2)  # once for each head, others' channels zero
    return Cost(
        products=2.0 * dots * scores * plan.channels,
        passes=2.0 * dots * scores * LANES * (6 if exact else 1),
        vector=work * scores + diagonal + (2 * copied + whole) * entries,
        transcendental=float(scores),
        bytes=float(arrays * entries * size + 4 * entries // plan.channels),
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
