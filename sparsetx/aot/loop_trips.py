"""Find the trip count of a loop in HLO; XLA's own cost analysis counts a body once.

A loop's condition compares a counter with a bound. If the loop may also stop early (as
AbsTopK's bisection does), the bound is used, marked as not exact.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sparsetx.aot.hlo import Computation, Instruction, Module

_KNOWN = re.compile(r'known_trip_count[^0-9]*"?(\d+)')
# For `counter OP bound`: what to add to get an exclusive upper bound.
_ENDS = {"LT": 0, "LE": 1}
_TURNED = {"GT": "LT", "GE": "LE"}
_VIEWS = ("copy", "bitcast", "reshape", "convert", "broadcast")


@dataclass(frozen=True)
class Trips:
    """`exact` is false if the loop may stop earlier."""

    count: int
    exact: bool


def of(module: Module, outside: Computation, loop: Instruction) -> Trips | None:
    """Trips of a `while` instruction; None if no bound can be found."""
    if known := _KNOWN.search(loop.rest):
        return Trips(int(known[1]), True)
    (condition,) = loop.called("condition")
    scope = _Scope(module, module.computations[condition])
    carried = _Carried(module, outside, loop)
    asked = list(_comparisons(scope, scope.inside.root))
    bounds = [n for one in asked if (n := _bound(carried, *one)) is not None]
    return Trips(min(bounds), len(asked) == 1) if bounds else None


@dataclass(frozen=True)
class _Scope:
    """A computation; if it is a fusion, `given` maps parameters to outer operands."""

    module: Module
    inside: Computation
    given: Mapping[int, tuple["_Scope", Instruction]] = field(default_factory=dict)

    def operands(self, one: Instruction) -> list[Instruction]:
        return self.inside.operands(one)

    def source(self, one: Instruction) -> tuple["_Scope", Instruction]:
        """The instruction that this one is a copy, view or parameter of."""
        if one.opcode == "parameter" and int(one.given) in self.given:
            scope, outer = self.given[int(one.given)]
            return scope.source(outer)
        if one.opcode in _VIEWS and self.operands(one):
            return self.source(self.operands(one)[0])
        return self, one

    def entered(self, fusion: Instruction) -> "_Scope":
        (name,) = fusion.called("calls")
        given = {i: (self, one) for i, one in enumerate(self.operands(fusion))}
        return _Scope(self.module, self.module.computations[name], given)


Comparison = tuple[str, _Scope, Instruction, _Scope, Instruction]


def _comparisons(scope: _Scope, root: Instruction) -> Iterator[Comparison]:
    """The comparisons that a condition consists of. A loop over parallel lanes runs
    while any lane does; all lanes share a bound."""
    scope, root = scope.source(root)
    if root.opcode == "fusion":
        inner = scope.entered(root)
        yield from _comparisons(inner, inner.inside.root)
    elif root.opcode == "and":
        for part in scope.operands(root):
            yield from _comparisons(scope, part)
    elif root.opcode in ("reduce", "all-reduce"):
        yield from _comparisons(scope, scope.operands(root)[0])
    elif root.opcode == "compare":
        left, right = (scope.source(side) for side in scope.operands(root))
        yield root.attribute("direction") or "", *left, *right
    else:
        yield "", scope, root, scope, root


def _bound(
    carried: "_Carried",
    direction: str,
    left_scope: _Scope,
    left: Instruction,
    right_scope: _Scope,
    right: Instruction,
) -> int | None:
    """Trips that a comparison allows, if it compares a counter with a constant."""
    low, high = carried.number(left), carried.number(right)
    if direction in _TURNED and high is None:
        direction, left, high = _TURNED[direction], right, low
    if direction not in _ENDS or high is None or left.opcode != "get-tuple-element":
        return None
    whole = high + _ENDS[direction] - (carried.first(left) or 0)
    return max(-(-whole // carried.stride(left)), 0)


@dataclass(frozen=True)
class _Carried:
    """The values that a loop starts with and carries from trip to trip."""

    module: Module
    outside: Computation
    loop: Instruction

    def number(self, one: Instruction) -> int | None:
        """The value of a constant, or of a carried value that never changes."""
        if one.opcode == "constant":
            given = one.given.strip("{}")  # for a single lane, an array of one element
            return int(given) if given.lstrip("-").isdecimal() else None
        if one.opcode != "get-tuple-element":
            return None
        _, new = self._handed_on(one)
        same = new is not None and new.opcode == "get-tuple-element"
        if not same or new is None or _place(new) != _place(one):
            return None
        return self.first(one)

    def first(self, one: Instruction) -> int | None:
        """The constant that a carried value has when the loop starts."""
        (start,) = self.outside.operands(self.loop)
        if start.opcode != "tuple":
            return None
        scope = _Scope(self.module, self.outside)
        name = start.operands[_place(one)]
        _, found = scope.source(self.outside.by_name[name])
        return self.number(found) if found.opcode == "constant" else None

    def stride(self, one: Instruction) -> int:
        """The increment of a counter in one trip."""
        scope, new = self._handed_on(one)
        if scope is not None and new is not None and new.opcode == "add":
            parts = [scope.source(part)[1] for part in scope.operands(new)]
            added = [n for part in parts if (n := self.number(part)) is not None]
            if len(added) == 1 and added[0] > 0:
                return added[0]
        return 1

    def _handed_on(
        self, one: Instruction
    ) -> tuple[_Scope, Instruction] | tuple[None, None]:
        (name,) = self.loop.called("body")
        body = self.module.computations[name]
        if body.root.opcode != "tuple":
            return None, None
        scope = _Scope(self.module, body)
        scope, new = scope.source(body.by_name[body.root.operands[_place(one)]])
        if new.opcode == "fusion":
            inner = scope.entered(new)
            return inner.source(inner.inside.root)
        return scope, new


def _place(one: Instruction) -> int:
    return int(one.attribute("index") or 0)
