"""Which kernels a program uses: the one place that chooses, by platform and shape.

Kernels are for TPUs; each has a twin that XLA compiles for any machine, and that is
used where a kernel's shapes do not fit or a tap wants to see what the kernel would
never write. For CPUs there is attention in pieces, which never has the whole pattern
either. `model.kernels` turns all of them off.
"""

import functools
from typing import Literal

import jax

from sparsetx import nodes, topk
from sparsetx.config import ModelConfig
from sparsetx.model.kernels import attention_pieces
from sparsetx.taps import Tap

# "interpreted" is for tests: the kernel's own code, run by XLA on a CPU.
Use = Literal["no", "compiled", "interpreted"]
Attend = Literal["no", "pieces", "compiled", "interpreted"]

FEWEST_TOKENS = 16  # of fewer, the scores are next to nothing
MOST_TOKENS = 2048  # of a sequence, for which a core's memory has room
WIDEST_HEAD = 128  # channels: a register's lanes
WIDEST_ROW = 2**15  # of a selection: eight such rows are a small block


def use(config: ModelConfig) -> Use:
    """Whether a program that is traced now may use kernels at all."""
    return "compiled" if config.kernels and platform() == "tpu" else "no"


def platform() -> str:
    """What the program is for: the devices of the mesh that is set, which need not be
    attached, else those of this process."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else str(device.platform)


def attention(config: ModelConfig, tap: Tap, length: int) -> Attend:
    """How attention over so many tokens is computed, if not with its whole pattern."""
    if tap.visits(nodes.ATTN_PATTERN):
        return "no"
    if (kernel := use(config)) != "no":
        fits = FEWEST_TOKENS <= length <= MOST_TOKENS and config.d_head <= WIDEST_HEAD
        return kernel if fits else "no"
    here = config.kernels and platform() == "cpu"
    return "pieces" if here and length >= attention_pieces.WORTH_TOKENS else "no"


def selection(config: ModelConfig, wide: int) -> topk.Search | None:
    """The kernel that selects from rows so wide, if it is to be used."""
    used = use(config) if wide <= WIDEST_ROW else "no"
    if used == "no":
        return None
    from sparsetx.topk import kernel

    return functools.partial(kernel.search, interpret=used == "interpreted")


def attend(
    how: Attend, qkv_BLC: list[jax.Array], sink_H: jax.Array | None, d_head: int
) -> jax.Array:
    """Attention in pieces, or by the kernel (imported here: where none is used, Pallas
    is not)."""
    q_BLC, k_BLC, v_BLC = qkv_BLC
    if how == "pieces":
        return attention_pieces.attention(q_BLC, k_BLC, v_BLC, sink_H, d_head)
    from sparsetx.model.kernels import attention_kernel

    mix_BLC: jax.Array = attention_kernel.attention(
        q_BLC, k_BLC, v_BLC, sink_H, d_head, how == "interpreted"
    )
    return mix_BLC
