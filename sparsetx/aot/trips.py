"""How often the body of a loop runs: the compiler counts it once, a step runs it often.

A loop's condition compares a counter with a bound. Where it may also stop early (a
selection that is decided, say) the bound is what is counted, and said to be one.
"""

import re
from dataclasses import dataclass

from sparsetx.aot.hlo import Computation, Instruction, Module

_KNOWN = re.compile(r'known_trip_count[^0-9]*"?(\d+)')
# counter OP bound, as an upper end that is not reached
_ENDS = {"LT": 0, "LE": 1, "NE": 0}
_TURNED = {"GT": "LT", "GE": "LE", "NE": "NE"}
_THROUGH = ("copy", "bitcast", "reshape", "convert", "get-tuple-element")


@dataclass(frozen=True)
class Trips:
    """`exact` is false where the loop may stop before."""

    count: int
    exact: bool


def of(module: Module, outside: Computation, loop: Instruction) -> Trips | None:
    """Of a `while`; None where no bound can be read."""
    if known := _KNOWN.search(loop.rest):
        return Trips(int(known[1]), True)
    condition = module.computations[loop.called("condition")[0]]
    start = outside.operands(loop)
    views = _View(module, condition, outside, start[0] if start else None)
    asked = _conjuncts(condition, condition.root)
    bounds = [n for one in asked if (n := views.bound(one)) is not None]
    return Trips(min(bounds), len(asked) == 1) if bounds else None


def _conjuncts(inside: Computation, root: Instruction) -> list[Instruction]:
    """The parts of a condition that must all hold."""
    if root.opcode == "and":
        return [c for part in inside.operands(root) for c in _conjuncts(inside, part)]
    if root.opcode in ("copy", "bitcast", "convert") and inside.operands(root):
        return _conjuncts(inside, inside.operands(root)[0])
    return [root]


@dataclass(frozen=True)
class _View:
    """A condition, and what its loop is entered with."""

    module: Module
    condition: Computation
    outside: Computation
    start: Instruction | None

    def bound(self, asked: Instruction) -> int | None:
        """Trips that a comparison allows, if it is one of a counter with a number."""
        if asked.opcode == "fusion":
            (inner,) = asked.called("calls")
            return self._fused(self.module.computations[inner], asked)
        if asked.opcode != "compare":
            return None
        sides = [self.number(one) for one in self.condition.operands(asked)]
        return self._of_sides(asked, sides, self.condition.operands(asked))

    def _fused(self, inner: Computation, outer: Instruction) -> int | None:
        """A comparison inside a fusion of its own."""
        asked = inner.root
        if asked.opcode != "compare":
            return None
        given = self.condition.operands(outer)
        sources = []
        for one in inner.operands(asked):
            if one.opcode == "parameter":
                one = given[int(one.given)]
            sources.append(one)
        return self._of_sides(asked, [self.number(one) for one in sources], sources)

    def _of_sides(
        self,
        asked: Instruction,
        sides: list[int | None],
        sources: list[Instruction],
    ) -> int | None:
        direction = asked.attribute("direction") or ""
        left, right = sides
        if direction in _TURNED and right is None:
            direction, left, right = _TURNED[direction], right, left
            sources = sources[::-1]
        if direction not in _ENDS or right is None or sources[0].shapes[0].sizes:
            return None
        begin = self.first(sources[0])
        return max(right + _ENDS[direction] - (begin or 0), 0)

    def number(self, one: Instruction) -> int | None:
        """A constant, here or among what the loop carries and never changes."""
        if one.opcode == "constant":
            return int(one.given) if one.given.lstrip("-").isdecimal() else None
        if one.opcode in ("copy", "bitcast") and self.condition.operands(one):
            return self.number(self.condition.operands(one)[0])
        if one.opcode != "get-tuple-element" or self._changes(one):
            return None
        return self.first(one)

    def _changes(self, one: Instruction) -> bool:
        """Whether the loop's body gives this element another value."""
        place = int(one.attribute("index") or 0)
        for loop in self.outside.instructions:
            if loop.opcode == "while" and self.condition.name in loop.called(
                "condition"
            ):
                body = self.module.computations[loop.called("body")[0]]
                if body.root.opcode != "tuple":
                    return True
                new = body.by_name[body.root.operands[place]]
                same = new.opcode == "get-tuple-element"
                return not (same and int(new.attribute("index") or 0) == place)
        return True

    def first(self, one: Instruction) -> int | None:
        """The constant that an element has when the loop begins."""
        if one.opcode == "constant":
            return self.number(one)
        if one.opcode != "get-tuple-element" or self.start is None:
            return None
        if self.start.opcode != "tuple":
            return None
        found = self.outside.by_name.get(
            self.start.operands[int(one.attribute("index") or 0)]
        )
        while found is not None and found.opcode in _THROUGH[:4]:
            within = self.outside.operands(found)
            found = within[0] if within else None
        return None if found is None or found.opcode != "constant" else self.number(found)
