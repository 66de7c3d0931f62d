"""What a kernel asks of a TPU's core, stated in the program that calls it.

A compiler sees a kernel as one opaque call. Each kernel therefore states its cost, and
the statement travels with the call into the compiled program's text, where the room
`aot` reads it. `flops` and `bytes_accessed` are XLA's own fields, which it scales where
a call is batched; what else there is to say is stated as a ratio to the former.
"""

from dataclasses import dataclass
from typing import Any

# Of the call's metadata, for each floating-point operation of a product.
PASSES, VECTOR = "passes", "vector"


@dataclass(frozen=True)
class Cost:
    """Of one call, padding of its arrays included."""

    products: float  # multiplications and additions that the result needs
    passes: float  # those that the matrix unit does: whole rows, in bfloat16
    vector: float  # operations of the vector unit
    transcendental: float  # of which so many are exponentials
    bytes: float  # to and from HBM


def stated(cost: Cost) -> dict[str, Any]:
    """The arguments of `pallas_call` that state it."""
    from jax.experimental import pallas as pl  # slow to import

    each = cost.products or 1.0
    ratios = {PASSES: cost.passes / each, VECTOR: cost.vector / each}
    return {
        "cost_estimate": pl.CostEstimate(
            flops=round(each),
            transcendentals=round(cost.transcendental),
            bytes_accessed=round(cost.bytes),
        ),
        "metadata": {name: repr(ratio) for name, ratio in ratios.items()},
    }
