"""Count operations of HLO instructions, of the matrix unit and of the vector unit.

A TPU's compiler writes every matrix product as a convolution; a batched product has a
window so dilated that each position of it meets one element. Only pairs of a window
position and an element that meet are counted. A kernel is opaque: it states its own
counts (system/kernel_cost.py), which the compiler copies into the program's text.
"""

import math
import re

from sparsetx.aot.hlo import Computation, Instruction, Module
from sparsetx.system import kernel_cost

# One operation for each element of the result.
ELEMENTWISE = frozenset(
    [
        "abs",
        "add",
        "and",
        "atan2",
        "cbrt",
        "ceil",
        "clamp",
        "compare",
        "convert",
        "cosine",
        "divide",
        "erf",
        "exponential",
        "exponential-minus-one",
        "floor",
        "is-finite",
        "log",
        "log-plus-one",
        "logistic",
        "maximum",
        "minimum",
        "multiply",
        "negate",
        "not",
        "or",
        "popcnt",
        "power",
        "remainder",
        "round-nearest-afz",
        "round-nearest-even",
        "rsqrt",
        "select",
        "shift-left",
        "shift-right-arithmetic",
        "shift-right-logical",
        "sign",
        "sine",
        "sqrt",
        "subtract",
        "tan",
        "tanh",
        "xor",
    ]
)
REDUCING = frozenset(["reduce", "reduce-window"])


def products(
    module: Module, inside: Computation, one: Instruction, passes: bool = False
) -> float:
    """Multiplications and additions of an instruction's matrix products. With `passes`,
    times the number of bfloat16 passes that the matrix unit needs for them."""
    often = _passes(one) if passes else 1.0
    if one.opcode == "dot":
        return often * _dot(inside, one)
    if one.opcode == "convolution":
        return often * _convolution(inside, one)
    if one.opcode == "custom-call":
        return _stated(one, kernel_cost.PASSES if passes else "")
    if one.opcode == "fusion":
        return sum(
            products(module, own, each, passes)
            for own in _called(module, one)
            for each in own.instructions
        )
    return 0.0


def _passes(one: Instruction) -> float:
    """bfloat16 products per float32 product: 6 at precision highest, 3 at high."""
    asked = one.attribute("operand_precision") or ""
    return 6.0 if "highest" in asked else 3.0 if "high" in asked else 1.0


def vector(module: Module, inside: Computation, one: Instruction) -> float:
    """Elementwise operations of an instruction, for the vector unit."""
    if one.opcode in ELEMENTWISE:
        return float(sum(shape.count for shape in one.shapes))
    if one.opcode in REDUCING:
        return float(sum(o.shapes[0].count for o in inside.operands(one)[:1]))
    if one.opcode == "custom-call":
        return _stated(one, kernel_cost.VECTOR)
    if one.opcode == "fusion":
        return sum(
            vector(module, own, each)
            for own in _called(module, one)
            for each in own.instructions
        )
    return 0.0


def _stated(kernel: Instruction, ratio: str = "") -> float:
    """A kernel's floating-point operations, times what it states for each of them; 0
    for a custom call that states nothing."""
    products = re.search(r'"flops":"(\d+)"', kernel.rest)
    if products is None:
        return 0.0
    if not ratio:
        return float(products[1])
    each = re.search(rf'"{ratio}":"([\d.e+-]+)"', kernel.rest)
    return float(products[1]) * float(each[1] if each else 0)


def _called(module: Module, one: Instruction) -> list[Computation]:
    return [module.computations[name] for name in one.called("calls")]


def _dot(inside: Computation, one: Instruction) -> float:
    left = inside.operands(one)[0].shapes[0]
    over = [int(n) for n in (one.attribute("lhs_contracting_dims") or "").split(",")]
    return 2.0 * one.shapes[0].count * math.prod(left.sizes[axis] for axis in over)


def _convolution(inside: Computation, one: Instruction) -> float:
    """2 · batch · output channels · input channels of a group · pairs that meet."""
    left, right = (o.shapes[0].sizes for o in inside.operands(one)[:2])
    labels = one.attribute("dim_labels") or ""
    left_names, right_names, out_names = re.split(r"_|->", labels)
    axis = dict(zip(out_names, one.shapes[0].sizes, strict=True))
    source = dict(zip(left_names, left, strict=True))
    kernel = dict(zip(right_names, right, strict=True))
    window = _window(one)
    pairs = 1
    for number, name in enumerate(sorted(n for n in out_names if n.isdecimal())):
        pairs *= _meetings(source[name], kernel[name], axis[name], window, number)
    return float(2 * axis["b"] * axis["f"] * kernel["i"] * pairs)


def _window(one: Instruction) -> dict[str, list[str]]:
    """{size, stride, pad, lhs_dilate, rhs_dilate: their values for each axis}."""
    text = one.attribute("window") or ""
    return {
        key: values.split("x")
        for key, _, values in (part.partition("=") for part in text.split())
    }


def _meetings(
    source: int, kernel: int, out: int, window: dict[str, list[str]], number: int
) -> int:
    """How many pairs of positions (of result and window) meet an element."""

    def setting(key: str, default: str) -> str:
        found = window.get(key, [])
        return found[number] if number < len(found) else default

    stride, spread = int(setting("stride", "1")), int(setting("lhs_dilate", "1"))
    apart = int(setting("rhs_dilate", "1"))
    low = int(setting("pad", "0_0").split("_")[0])
    width = (source - 1) * spread + 1
    common = math.gcd(stride, spread)
    every = spread // common  # of that many positions, one is on an element
    inverse = pow(stride // common, -1, every) if every > 1 else 0
    count = 0
    for step in range(kernel):
        # positions p with 0 <= p·stride + step·apart - low < width, on an element
        offset = step * apart - low
        first, last = (
            _first(offset, stride),
            min(out - 1, (width - 1 - offset) // stride),
        )
        if offset % common or last < first:
            continue
        on = -(offset // common) * inverse % every
        first += (on - first) % every
        count += max(0, (last - first) // every + 1)
    return count


def _first(offset: int, stride: int) -> int:
    return max(0, -(offset // stride)) if offset < 0 else 0
