"""The network: embedding, a scan over stacked blocks, unembedding (paper, section 2.1).

A pure function of (config, params, tokens, tap): it knows nothing of masks, pruning or
training; they come in as taps. Layers are stacked, so a tap is traced once per site
and a program does not grow with depth; a tail of the network is the same scan over a
slice. `block.py` says what the letters in names stand for.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import nodes, taps, topk
from sparsetx.config import ModelConfig
from sparsetx.model import kernels, parameters
from sparsetx.model.block import INIT_STD, Block, RMSNorm, Visit, against, multiply
from sparsetx.taps import BareFn, Tap, as_tap

Params = Mapping[str, Any]
Traced = tuple[jax.Array, dict[str, Any]]


def init(
    config: ModelConfig, key: jax.Array, bigram_VV: jax.Array | None = None
) -> dict[str, Any]:
    """Initial parameters: N(0, 0.02), the writes smaller by √(2·layers).

    `bigram_VV` is the table to start from where config.bigram is "counts"
    (see `bigram_from_counts`).
    """
    parameters.check_model(config)
    initial: dict[str, Any] = _init(config, key, bigram_VV)
    return initial


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _init(
    config: ModelConfig, key: jax.Array, bigram_VV: jax.Array | None
) -> dict[str, Any]:
    embed, position, blocks, unembed, bigram = jax.random.split(key, 5)
    normal = nn.initializers.normal(INIT_STD)
    shape = (config.vocab_size, config.d_model)
    params: dict[str, Any] = {
        parameters.EMBED: {parameters.W: normal(embed, shape)},
        parameters.BLOCKS: _init_blocks(config, blocks),
        parameters.FINAL_NORM: {parameters.GAIN: jnp.ones(config.d_model)},
        parameters.UNEMBED: {parameters.W: normal(unembed, shape[::-1])},
    }
    if config.positions != "none":
        wide = (config.context, config.d_pos or config.d_model)
        params[parameters.POSITIONS] = {parameters.W: normal(position, wide)}
    if config.bigram != "none":
        table = _init_bigram(config, bigram, bigram_VV)
        params[parameters.BIGRAM] = {parameters.TABLE: table}
    if config.final_bias:
        bias = jnp.zeros(config.vocab_size)
        params[parameters.FINAL_BIAS] = {parameters.B: bias}
    return params


def _init_blocks(config: ModelConfig, key: jax.Array) -> Any:
    x_BLD = jnp.zeros((1, 1, config.d_model))
    position_LP = jnp.zeros((1, config.d_pos)) if config.d_pos else None

    block = Block(dataclasses.replace(config, afrac=None))  # selects no parameter

    def one(key: jax.Array) -> Any:
        return block.init(key, x_BLD, position_LP, lambda site, x: x)["params"]

    return jax.vmap(one)(jax.random.split(key, config.n_layer))


def _init_bigram(
    config: ModelConfig, key: jax.Array, bigram_VV: jax.Array | None
) -> jax.Array:
    shape = (config.vocab_size, config.vocab_size)
    if config.bigram == "random":
        return jax.random.uniform(key, shape, maxval=0.02)
    if bigram_VV is None or bigram_VV.shape != shape:
        got = None if bigram_VV is None else bigram_VV.shape
        raise ValueError(
            f'bigram = "counts": wanted a table {shape} to start from, got {got}'
        )
    return jnp.asarray(bigram_VV, jnp.float32)


def bigram_from_counts(count_VV: jax.Array, smoothing: float = 0.1) -> jax.Array:
    """Log probability of each next token, `smoothing` counts added to every pair.

    A small model spends its first million tokens learning these; starting from them
    leaves its capacity to what needs a circuit.
    """
    smooth_VV = count_VV + smoothing
    return jnp.log(smooth_VV) - jnp.log(jnp.sum(smooth_VV, -1, keepdims=True))


def apply(
    config: ModelConfig,
    params: Params,
    tokens_BL: jax.Array,
    tap: Tap | BareFn | None = None,
) -> jax.Array:
    """Logits [B, L, V], float32."""
    return trace(config, params, tokens_BL, tap)[0]


def trace(
    config: ModelConfig,
    params: Params,
    tokens_BL: jax.Array,
    tap: Tap | BareFn | None = None,
) -> Traced:
    """Logits, and what the tap took: {site: [layer, …]}, no layer axis at the ends."""
    tokens_BL = check_tokens(config, tokens_BL)
    found: Traced = _trace(config, params, tokens_BL, as_tap(tap))
    return found


def check_tokens(config: ModelConfig, tokens_BL: Any) -> jax.Array:
    """Tokens as an array that the model can read, or a ValueError that says why not."""
    tokens_BL = jnp.asarray(tokens_BL)
    if tokens_BL.ndim != 2 or not jnp.issubdtype(tokens_BL.dtype, jnp.integer):
        raise ValueError(
            "wanted tokens as integers [batch, length], got "
            f"{tokens_BL.dtype}{list(tokens_BL.shape)}"
        )
    if config.positions != "none" and tokens_BL.shape[1] > config.context:
        raise ValueError(
            f"{tokens_BL.shape[1]} tokens, but positions were learned for "
            f"{config.context}: shorten the sequences"
        )
    array: jax.Array = tokens_BL
    return array


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _trace(
    config: ModelConfig, params: Params, tokens_BL: jax.Array, tap: Tap
) -> Traced:
    taken: dict[str, Any] = {}
    visit = visitor(tap, tap.ends, taken)
    x_BLD, position_LP = embed(config, params, tokens_BL, visit)
    x_BLD, along = run_blocks(
        config, params[parameters.BLOCKS], x_BLD, position_LP, tap
    )
    logits_BLV = unembed(config, params, x_BLD, tokens_BL, visit)
    return logits_BLV, taken | along


def logits_at(
    config: ModelConfig,
    params: Params,
    tokens_BL: jax.Array,
    place_B: jax.Array,
    tap: Tap | BareFn | None = None,
) -> jax.Array:
    """[B, V]: logits at one place of each row, without what the last layer computes for
    other places alone: in a shallow model nearly half of the work."""
    tap = as_tap(tap)
    x_BLD, position_LP = embed(config, params, tokens_BL, visitor(tap, tap.ends, {}))
    layers = params[parameters.BLOCKS], tap.along
    early, along = jax.tree.map(lambda x: x[:-1], layers)
    last, here = jax.tree.map(lambda x: x[-1], layers)
    before = dataclasses.replace(tap, along=along)
    x_BLD, _ = run_blocks(config, early, x_BLD, position_LP, before)
    visit = visitor(tap, taps.at_place(here, place_B, tokens_BL.shape), {})
    block = functools.partial(Block(config).apply, {"params": last})
    x_B1D = cast(jax.Array, block(x_BLD, position_LP, visit, place_B))
    visit = visitor(tap, taps.at_place(tap.ends, place_B, tokens_BL.shape), {})
    token_B1 = jnp.take_along_axis(tokens_BL, place_B[:, None], 1)
    return unembed(config, params, x_B1D, token_B1, visit)[:, 0]


def embed(
    config: ModelConfig, params: Params, tokens_BL: jax.Array, visit: Visit
) -> tuple[jax.Array, jax.Array | None]:
    """The first residual; and the positions, where they are read beside it."""
    x_BLD = params[parameters.EMBED][parameters.W][tokens_BL]
    position_LP = None
    if config.positions != "none":
        table = params[parameters.POSITIONS][parameters.W]
        position_LP = table[: tokens_BL.shape[1]]
        if config.positions == "added":
            x_BLD, position_LP = x_BLD + position_LP[None], None
    return visit(nodes.EMBED, x_BLD), position_LP


def run_blocks(
    config: ModelConfig,
    stacked: Params,
    x_BLD: jax.Array,
    position_LP: jax.Array | None,
    tap: Tap,
) -> tuple[jax.Array, dict[str, Any]]:
    """The residual through a stack of blocks (all, or any slice of the layers)."""
    attend = kernels.attention(config, tap, x_BLD.shape[1])

    def body(x_BLD: jax.Array, layer: tuple[Params, Any]) -> tuple[jax.Array, Any]:
        params, here = layer
        taken: dict[str, Any] = {}
        visit = visitor(tap, here, taken)
        block = functools.partial(Block(config, attend).apply, {"params": params})
        return cast(jax.Array, block(x_BLD, position_LP, visit)), taken

    if config.remat:
        names = jax.checkpoint_policies.save_only_these_names(*topk.REMAT_NAMES)
        body = jax.checkpoint(body, policy=names, prevent_cse=False)
    layers = stacked, tap.along
    return lax.scan(body, x_BLD, layers, unroll=_in_a_row(config, layers))


# A smaller model takes longer to compile than its steps would save; a deeper one, too
# long.
LEAST_WIDTH, MOST_LAYERS = 128, 12


def _in_a_row(config: ModelConfig, layers: Any) -> int:
    """How many layers are written out one after another inside the scan. On a CPU all:
    a loop copies what each layer leaves for the backward pass into stacks, which takes
    a sixth of a step. Elsewhere one: the program does not grow with depth."""
    count = len(jax.tree.leaves(layers)[0])
    narrow = config.d_model < LEAST_WIDTH
    here = config.unroll and jax.default_backend() == "cpu"
    if not here or narrow or count > MOST_LAYERS:
        return 1
    return max(count, 1)


def unembed(
    config: ModelConfig,
    params: Params,
    x_BLD: jax.Array,
    tokens_BL: jax.Array,
    visit: Visit,
) -> jax.Array:
    """Logits from the last residual, its norm, and the tables that skip the network."""
    x_BLD = visit(nodes.FINAL, x_BLD)
    norm = {"params": params[parameters.FINAL_NORM]}
    look = functools.partial(visit, nodes.FINAL_NORM)
    x_BLD = cast(jax.Array, RMSNorm().apply(norm, x_BLD, look))
    w_DV = params[parameters.UNEMBED][parameters.W]
    logits_BLV = multiply(x_BLD, w_DV, config.compute)
    if config.bigram != "none":
        logits_BLV += params[parameters.BIGRAM][parameters.TABLE][tokens_BL]
    if config.final_bias:
        logits_BLV += against(logits_BLV, params[parameters.FINAL_BIAS][parameters.B])
    return logits_BLV


def visitor(tap: Tap, here: Any, taken: dict[str, Any]) -> Visit:
    """The tap as a block sees it: x in, x of the same shape and type out."""

    def visit(site: str, x: jax.Array) -> jax.Array:
        new, take = tap.fn(site, x, here)
        if new.shape != x.shape:
            raise ValueError(
                f"the tap changed {site!r} from shape {x.shape} to {new.shape}"
            )
        if take is not None:
            taken[site] = take
        return new.astype(x.dtype)

    return visit
