"""Count operations, HBM bytes and exchanges of one call of a compiled program.

From the optimised module's text: matrix products, vector operations, bytes to and from
HBM, and every exchange between devices, each times the trip counts of its loops. Arrays
in a core's own memory cost no HBM traffic; of an array that is only sliced, the slice
counts.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sparsetx.aot import flops, loop_trips
from sparsetx.aot.hlo import Computation, Instruction, Module, Shape, parse

COLLECTIVES = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute",
    "collective-broadcast", "ragged-all-to-all",
)  # fmt: skip
_FREE = frozenset(
    [
        "parameter",
        "constant",
        "tuple",
        "get-tuple-element",
        "bitcast",
        "after-all",
        "partition-id",
        "replica-id",
        "opt-barrier",
        "iota",
    ]
)
_CHAIN = re.compile(r'chain_id="?([^",}]+)')
_SLICES = ("dynamic-slice", "slice", "gather")


@dataclass(frozen=True)
class Work:
    """An instruction that runs `times` times; the figures are for one of them."""

    name: str
    times: float
    products: float
    passes: float  # products times the passes of the matrix unit
    vector: float
    hbm: float  # bytes, with padding to whole tiles
    waits: bool = True  # false: runs in parallel with what follows


@dataclass(frozen=True)
class Exchange:
    """A collective that runs `times` times; `bytes` are of its result, each time."""

    kind: str
    times: float
    bytes: float
    devices: int  # in one group
    waits: bool
    name: str


@dataclass
class Tally:
    """All counts of a program. `bounded`: loops that may stop before the trip count
    used; `unknown`: loops without a known trip count, counted once."""

    work: list[Work] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    bounded: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def products(self) -> float:
        return sum(w.times * w.products for w in self.work)

    @property
    def vector(self) -> float:
        return sum(w.times * w.vector for w in self.work)

    @property
    def hbm(self) -> float:
        return sum(w.times * w.hbm for w in self.work)

    def calls(self, kernel: str) -> bool:
        """Whether a kernel of this name is called."""
        return any(kernel in w.name for w in self.work)

    @property
    def by_kind(self) -> dict[str, tuple[float, float]]:
        """{kind: (bytes of results, number)} of the exchanges of a call."""
        found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        for one in self.exchanges:
            size, count = found[one.kind]
            found[one.kind] = size + one.times * one.bytes, count + one.times
        return dict(found)

    @property
    def largest(self) -> float:
        """Bytes of the largest single result of an exchange."""
        return max((one.bytes for one in self.exchanges), default=0.0)


def tally(text: str, devices: int = 1) -> Tally:
    """The counts of a compiled program, from its text, for `devices` devices."""
    module = parse(text)
    counter = _Counter(module, devices)
    counter.walk(module.entry, 1.0, True)
    return counter.found


@dataclass
class _Counter:
    module: Module
    devices: int
    found: Tally = field(default_factory=Tally)
    begun: set[tuple[str, str]] = field(default_factory=set)

    def walk(self, inside: Computation, times: float, waits: bool) -> None:
        for one in inside.instructions:
            if one.opcode == "while":
                self._loop(inside, one, times, waits)
            elif one.opcode == "conditional":
                self._largest_branch(one, times, waits)
            elif one.opcode in ("call", "async-start"):
                for name in one.called("calls", "to_apply"):
                    own = waits and one.opcode == "call"
                    self.walk(self.module.computations[name], times, own)
            elif one.opcode not in _FREE and not one.opcode.endswith(
                ("-done", "-update")
            ):
                self._one(inside, one, times, waits)

    def _loop(
        self, inside: Computation, loop: Instruction, times: float, waits: bool
    ) -> None:
        known = loop_trips.of(self.module, inside, loop)
        if known is None:
            self.found.unknown.append(loop.name)
        elif not known.exact:
            self.found.bounded.append(loop.name)
        count = 1 if known is None else known.count
        for name, extra in (("condition", 1), ("body", 0)):
            (own,) = loop.called(name)
            computation = self.module.computations[own]
            self.walk(computation, times * (count + extra), waits)

    def _largest_branch(self, one: Instruction, times: float, waits: bool) -> None:
        """Count the branch of a conditional that does most."""
        names = one.called(
            "branch_computations", "true_computation", "false_computation"
        )
        tried = []
        for name in names:
            counter = _Counter(self.module, self.devices)
            counter.walk(self.module.computations[name], times, waits)
            tried.append(counter.found)
        best = max(tried, key=lambda t: t.products + t.vector + t.hbm)
        self.found.work += best.work
        self.found.exchanges += best.exchanges
        self.found.bounded += [n for t in tried for n in t.bounded]
        self.found.unknown += [n for t in tried for n in t.unknown]

    def _one(
        self, inside: Computation, one: Instruction, times: float, waits: bool
    ) -> None:
        beside = one.opcode.endswith("-start")
        exchanged = list(_exchanges(self.module, one))
        for own in exchanged:
            if own.chain and (inside.name, own.chain) in self.begun:
                continue  # continues in parallel with the products of this fusion
            self.begun.add((inside.name, own.chain))
            alone = waits and not beside and not own.chain
            self.found.exchanges.append(
                Exchange(
                    own.kind, times, own.size, own.groups or self.devices, alone,
                    one.name,
                )
            )  # fmt: skip
        if exchanged and one.opcode != "fusion":
            return  # its reads and writes are part of the exchange's time
        self.found.work.append(
            Work(
                one.name,
                times,
                flops.products(self.module, inside, one),
                flops.products(self.module, inside, one, passes=True),
                flops.vector(self.module, inside, one),
                traffic(self.module, inside, one),
                waits and not beside,
            )
        )


class _Asked(NamedTuple):
    """A collective as written in the text; the parts of one that spans several fusions
    have the same chain name."""

    kind: str
    size: float
    groups: int | None
    chain: str


def _exchanges(module: Module, one: Instruction) -> Iterator[_Asked]:
    """The collectives of an instruction, which may be a fusion that contains some."""
    kind = one.opcode.removesuffix("-start")
    if kind in COLLECTIVES:
        chain = _CHAIN.search(one.rest)
        name = f"{chain[1]}, {one.attribute('channel_id')}" if chain else ""
        yield _Asked(kind, _result(one, kind), groups(one), name)
    elif one.opcode == "fusion":
        for name in one.called("calls"):
            inner = module.computations[name]
            for each in inner.instructions:
                for own in _exchanges(module, each):
                    if own.kind == "all-reduce" and "scatter" in inner.name:
                        # Written as a fusion of an all-reduce and a slice.
                        yield own._replace(kind="reduce-scatter", size=one.bytes)
                    else:
                        yield own


def _result(one: Instruction, kind: str) -> float:
    """Bytes of the result; `-start` instructions list their operands before it."""
    shapes: Iterable[Shape] = one.shapes
    if one.opcode.endswith("-start") and kind != "all-reduce":
        shapes = one.shapes[len(one.operands) : 2 * len(one.operands)]
    return sum(shape.bytes for shape in shapes)


def groups(one: Instruction) -> int | None:
    """The number of devices per group, in any of XLA's three notations."""
    _, _, text = one.rest.partition("replica_groups=")
    if text.startswith("{{"):
        return text[2:].partition("}")[0].count(",") + 1
    if text.startswith("["):
        return int(text[1:].partition("]")[0].split(",")[-1])
    if text.startswith("mesh["):
        sizes, _, axes = text.removeprefix("mesh[").partition("]")
        by_name = dict(part.split("=") for part in sizes.split(","))
        chosen = axes[axes.find("{") + 1 : axes.find("}")].split(",")
        count = 1
        for axis in chosen:
            count *= int(by_name.get(axis.strip(), "1"))
        return count
    return None


def traffic(module: Module, inside: Computation, one: Instruction) -> float:
    """Bytes that an instruction moves to and from HBM."""
    given = inside.operands(one)
    if one.opcode in ("copy-start", "slice-start"):
        moved = one.shapes[-2].stored if len(one.shapes) > 2 else one.shapes[0].stored
        return sum(moved for s in (one.shapes[0], one.shapes[1]) if not s.on_chip)
    if one.opcode == "fusion":
        (name,) = one.called("calls")
        return _fused(module.computations[name], one, given)
    if one.opcode in _SLICES:
        return 2 * _far(one.shapes)
    if one.opcode == "dynamic-update-slice":
        return 2 * _far(given[1].shapes) if _far(one.shapes) else 0.0
    return _far(one.shapes) + sum(_far(g.shapes) for g in given)


def _far(shapes: Iterable[Shape]) -> float:
    return sum(shape.stored for shape in shapes if not shape.on_chip)


def _fused(inner: Computation, outer: Instruction, given: list[Instruction]) -> float:
    """Bytes that a fusion reads of each operand and writes of each result."""
    total = 0.0
    for parameter in inner.instructions:
        if parameter.opcode == "parameter" and int(parameter.given) < len(given):
            whole = _far(given[int(parameter.given)].shapes)
            total += min(whole, _read(inner, parameter)) if whole else 0.0
    root = inner.root
    results = inner.operands(root) if root.opcode == "tuple" else [root]
    for result, shape in zip(results, outer.shapes, strict=False):
        if not shape.on_chip:
            total += min(shape.stored, _written(inner, result))
    return total


def _read(inner: Computation, source: Instruction) -> float:
    """Bytes of a parameter that its users read; inf for all of it."""
    total = 0.0
    for user in inner.instructions:
        if source.name not in user.operands:
            continue
        first = user.operands[0] == source.name
        if user.opcode in ("bitcast", "reshape"):
            total += _read(inner, user)
        elif user.opcode in _SLICES and first:
            total += user.stored
        elif user.opcode == "dynamic-update-slice" and first:
            total += 0.0  # the rest of the buffer is not read
        elif user.opcode in (*COLLECTIVES, "tuple"):
            total += 0.0  # an exchange, counted separately; or passed on unread
        else:
            return float("inf")
    return total


def _written(inner: Computation, result: Instruction) -> float:
    """Bytes of a result that are written; inf for all of it."""
    if result.opcode in ("bitcast", "reshape") and inner.operands(result):
        return _written(inner, inner.operands(result)[0])
    if result.opcode in (*COLLECTIVES, "parameter"):
        return 0.0
    if result.opcode == "dynamic-update-slice":
        return inner.operands(result)[1].stored
    return float("inf")
