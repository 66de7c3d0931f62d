"""Count what a kernel's own jaxpr does, to hold it against what the kernel states."""

import math
from collections import Counter
from typing import Any

import jax
from jax.extend import core

UNIT = 128  # rows, columns and depth of the matrix unit
ELEMENTWISE = frozenset(
    [
        "abs",
        "add",
        "and",
        "clamp",
        "convert_element_type",
        "div",
        "eq",
        "exp",
        "exp2",
        "ge",
        "gt",
        "integer_pow",
        "le",
        "log",
        "lt",
        "max",
        "min",
        "mul",
        "ne",
        "neg",
        "not",
        "or",
        "rsqrt",
        "select_n",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "sign",
        "sqrt",
        "sub",
        "tanh",
        "xor",
    ]
)


def of(f: Any, *args: Any, trips: float = 0.0) -> Counter[str]:
    """Products, passes of the matrix unit and vector operations of all kernels that
    f(*args) calls; `trips`: of a loop whose end is not known when it is traced, on
    average."""
    found: Counter[str] = Counter()
    _walk(jax.make_jaxpr(f)(*args).jaxpr, 1.0, False, trips, found)
    return found


def _walk(
    jaxpr: Any, times: float, inside: bool, trips: float, found: Counter[str]
) -> None:
    for eqn in jaxpr.eqns:
        name, params = eqn.primitive.name, eqn.params
        if name == "pallas_call":
            grid = math.prod(params["grid_mapping"].grid)
            _walk(params["jaxpr"], times * grid, True, trips, found)
        elif name == "scan":
            _walk(params["jaxpr"].jaxpr, times * params["length"], inside, trips, found)
        elif name == "while":
            _walk(params["body_jaxpr"].jaxpr, times * trips, inside, trips, found)
        elif inside and name == "dot_general":
            _dot(eqn, times, found)
        elif inside and (name in ELEMENTWISE or name.startswith("reduce_")):
            whole = eqn.invars[0] if name.startswith("reduce_") else eqn.outvars[0]
            nothing = name == "convert_element_type" and (
                whole.aval.dtype == eqn.invars[0].aval.dtype
            )
            if whole.aval.size > 1 and not nothing:  # scalars are another unit's
                found["vector"] += times * whole.aval.size
                found[name] += times * whole.aval.size
        else:
            for own in core.jaxprs_in_params(params):
                _walk(own, times, inside, trips, found)


def _dot(eqn: Any, times: float, found: Counter[str]) -> None:
    left, right = (v.aval for v in eqn.invars)
    ((over,), _), _ = eqn.params["dimension_numbers"]
    deep = left.shape[over]
    rows, columns = left.size // deep, right.size // deep
    exact = 6 if left.dtype == "float32" else 1
    found["products"] += times * 2 * rows * columns * deep
    padded = math.prod(-(-n // UNIT) * UNIT for n in (rows, columns, deep))
    found["passes"] += times * 2 * padded * exact
