"""Parse the HLO text of a compiled program into computations and instructions.

Reads the text of an optimised XLA module of any backend. Layouts are kept: `S(1)` in a
layout says that the array is in a TPU core's own memory, not in HBM.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

BYTES = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2,
    "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8,
}  # fmt: skip
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_COMMENT = re.compile(r"/\*.*?\*/")
_NAME = re.compile(r"%([^\s,(){}]+)")
_HEAD = re.compile(r"^(ENTRY )?%?([^\s(]+) \(.*\) -> .*\{$")
# The only text that spans lines: what a kernel states about itself.
_STATED = re.compile(r"kernel_metadata=\{\n.*?\n\}", re.DOTALL)
_LINE = re.compile(r"^\s+(ROOT )?%?([^\s=]+) = (.*)$")


@dataclass(frozen=True)
class Shape:
    """The type, sizes and layout of one array."""

    kind: str
    sizes: tuple[int, ...]
    layout: str = ""

    @property
    def count(self) -> int:
        return math.prod(self.sizes)

    @property
    def bytes(self) -> float:
        return BYTES.get(self.kind, 0) * self.count

    @property
    def on_chip(self) -> bool:
        """Whether it is in the core's memory; space 0 or none is HBM, 5 the host's."""
        space = re.search(r"S\((\d+)\)", self.layout)
        return space is not None and space[1] not in ("0", "5")

    @property
    def stored(self) -> float:
        """Bytes including padding to tiles, as 8 x 128 of the two minor axes."""
        tile = re.search(r"T\(([\d,]+)\)", self.layout)
        order = [int(n) for n in self.layout.partition(":")[0].split(",") if n]
        if tile is None or len(order) != len(self.sizes):
            return self.bytes
        sizes = list(self.sizes)
        # The tile's last number belongs to the most minor axis.
        numbers = reversed([int(n) for n in tile[1].split(",")])
        for axis, wide in zip(order, numbers, strict=False):
            sizes[axis] = -(-sizes[axis] // wide) * wide
        return BYTES.get(self.kind, 0) * math.prod(sizes)


@dataclass(frozen=True)
class Instruction:
    """`shapes` has several entries if the result is a tuple; `rest` is the text after
    the operands."""

    name: str
    shapes: tuple[Shape, ...]
    opcode: str
    operands: tuple[str, ...]
    given: str  # the text between the parentheses
    rest: str
    root: bool

    def attribute(self, name: str) -> str | None:
        """An attribute's value: of `dim_labels=bf_io->bf`, or of `slice={[0:8]}`."""
        found = re.search(rf"\b{name}=(\{{[^{{}}]*\}}|[^\s,]+)", self.rest)
        return None if found is None else found[1].strip("{}")

    def called(self, *attributes: str) -> list[str]:
        """Names of the computations that are the values of these attributes."""
        texts = [self.attribute(a) or "" for a in attributes]
        return [
            name.strip().lstrip("%")
            for text in texts
            for name in text.split(",")
            if name.strip()
        ]

    @property
    def bytes(self) -> float:
        return sum(shape.bytes for shape in self.shapes)

    @property
    def stored(self) -> float:
        return sum(shape.stored for shape in self.shapes)


@dataclass
class Computation:
    name: str
    instructions: list[Instruction] = field(default_factory=list)
    by_name: dict[str, Instruction] = field(default_factory=dict)

    def add(self, instruction: Instruction) -> None:
        self.instructions.append(instruction)
        self.by_name[instruction.name] = instruction

    @property
    def root(self) -> Instruction:
        return next(i for i in self.instructions if i.root)

    def operands(self, instruction: Instruction) -> list[Instruction]:
        return [self.by_name[n] for n in instruction.operands if n in self.by_name]


@dataclass(frozen=True)
class Module:
    computations: Mapping[str, Computation]
    entry: Computation


def parse(text: str) -> Module:
    """Parse the text of a module."""
    found: dict[str, Computation] = {}
    entry: Computation | None = None
    current: Computation | None = None
    text = _STATED.sub(lambda found: found[0].replace("\n", " "), text)
    for raw in text.splitlines():
        line = _COMMENT.sub("", raw)
        if head := _HEAD.match(line):
            current = found[head[2]] = Computation(head[2])
            entry = current if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (body := _LINE.match(line)):
            current.add(_instruction(body[2], body[3], bool(body[1])))
    if entry is None:
        raise ValueError(
            "wanted the text of a compiled module: there is no ENTRY in it"
        )
    return Module(found, entry)


def _instruction(name: str, text: str, root: bool) -> Instruction:
    """`TYPE opcode(operands), rest`."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    shapes, text = text[:end], text[end:].lstrip()
    opening = text.index("(")
    closing = _closing(text, opening)
    given = text[opening + 1 : closing]
    return Instruction(
        name,
        shapes_of(shapes),
        text[:opening],
        tuple(_NAME.findall(given)),
        given,
        text[closing + 1 :],
        root,
    )


def _closing(text: str, opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    raise ValueError(f"a parenthesis is never closed: {text[opening : opening + 80]}")


def shapes_of(text: str) -> tuple[Shape, ...]:
    """The shapes of a type's text; a tuple has several."""
    return tuple(
        Shape(kind, tuple(int(n.strip("<=")) for n in sizes.split(",") if n), layout)
        for kind, sizes, layout in _ARRAY.findall(text)
    )
