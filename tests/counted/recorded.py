"""A small program, and what the TPU's compiler made of it once, for four chips of v5e.

    JAX_PLATFORMS=cpu .venv-aot/bin/python -m tests.counted.recorded

writes it again; do so when jax or libtpu have another version.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sparsetx import topk

FILE = Path(__file__).with_name("v5e-4.hlo")
LAYERS, BATCH, LENGTH, HEADS, WIDE = 3, 16, 128, 4, 256
KEPT = 64

# Of one chip: a product of the tokens with a matrix; scores and mixes of all heads;
# forwards, and twice as much backwards.
TOKENS = BATCH // 4 * LENGTH
MATRIX = 2 * TOKENS * WIDE * WIDE
ATTENTION = 2 * 2 * TOKENS * LENGTH * WIDE
PRODUCTS = 3 * LAYERS * (MATRIX + ATTENTION)
GRADIENT = LAYERS * WIDE * WIDE * 4  # bytes that all chips add up


def step(w_LDD: jax.Array, x_BLD: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A gradient step of a loss over layers: matrix, selection, attention."""

    def loss(w_LDD: jax.Array) -> jax.Array:
        def layer(x_BLD: jax.Array, w_DD: jax.Array) -> tuple[jax.Array, None]:
            y_BLD = jnp.einsum("bld,de->ble", x_BLD, w_DD)
            y_BLD = topk.keep_largest(y_BLD, KEPT, axis=-1)
            y_BLHA = y_BLD.reshape(*y_BLD.shape[:2], HEADS, -1)
            score = jax.nn.softmax(jnp.einsum("blha,bmha->bhlm", y_BLHA, y_BLHA))
            mix = jnp.einsum("bhlm,bmha->blha", score, y_BLHA)
            return mix.reshape(y_BLD.shape), None

        return jnp.mean(jnp.square(jax.lax.scan(layer, x_BLD, w_LDD)[0]))

    value, gradient = jax.value_and_grad(loss)(w_LDD)
    return value, w_LDD - gradient


def compiled(devices: Sequence[Any]) -> Any:
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())
    cut = NamedSharding(mesh, PartitionSpec("data"))
    w_LDD = jax.ShapeDtypeStruct((LAYERS, WIDE, WIDE), jnp.float32, sharding=whole)
    x_BLD = jax.ShapeDtypeStruct((BATCH, LENGTH, WIDE), jnp.float32, sharding=cut)
    return jax.jit(step, donate_argnums=0).lower(w_LDD, x_BLD).compile()


def shortened(text: str) -> str:
    """Without what nobody counts: where lines come from, and how they are emitted."""
    text = re.sub(r", metadata=\{[^{}]*\}", "", text)
    text = re.sub(r", backend_config=.*", "", text)
    keep = [
        line for line in text.splitlines() if re.match(r"\s|ENTRY|%|\}|HloMod", line)
    ]
    return "\n".join(keep) + "\n"


if __name__ == "__main__":
    from sparsetx.aot import topology

    chips = topology.devices(topology.find("v5e-4"))
    FILE.write_text(shortened(compiled(chips).as_text()))
