"""Function definitions: parameters, defaults, bodies, return values."""

from sparsetx.data.grammar import blocks
from sparsetx.data.grammar import expressions as e
from sparsetx.data.grammar.comments import docstring
from sparsetx.data.grammar.idioms import one
from sparsetx.data.grammar.scope import (
    FLAG,
    NUMBER,
    PLURAL_KINDS,
    ROW,
    TABLE,
    TEXT,
    WORDS,
    Function,
    Scope,
)
from sparsetx.data.grammar.statements import bind_row

KINDS = (NUMBER,) * 6 + (TEXT, TEXT, ROW, ROW, WORDS, TABLE, FLAG)
COUNTS = (0, 1, 1, 2, 2, 2, 2, 3, 3, 4)
# How parameters have defaults: all None, none at all, or values for the last ones.
NONE, PLAIN, MIXED = range(3)
DEFAULTS = (NONE,) * 4 + (PLAIN,) * 6 + (MIXED,) * 2


def parameters(inner: Scope, count: int) -> tuple[str, tuple[str, ...], int]:
    """Text of the parameter list, the kinds, and how many have no default."""
    dice = inner.dice
    way = dice.pick(DEFAULTS)
    needed = {NONE: 0, PLAIN: count, MIXED: dice.between(0, count)}[way]
    texts, kinds = [], []
    for place in range(count):
        kind = dice.pick(KINDS)
        name = inner.new(kind)
        texts.append(name if place < needed else f"{name}={default(inner, kind, way)}")
        kinds.append(kind)
    return ", ".join(texts), tuple(kinds), needed


def default(s: Scope, kind: str, way: int) -> str:
    if way == NONE or kind in PLURAL_KINDS or s.dice.chance(0.5):
        return "None"
    if kind == FLAG:
        return s.dice.pick(("True", "False"))
    return e.string(s, 1, 1) if kind == TEXT else e.literal(s)


def define(s: Scope) -> None:
    """Write `def load(path, count=None):` and its body; add it to the scope."""
    dice = s.dice
    name = s.verb()
    inner = s.body()
    inner.taken.add(name)
    text, kinds, needed = parameters(inner, dice.pick(COUNTS))
    s.write(f"def {name}({text}):")
    if dice.chance(0.08):
        docstring(inner)
    made = Function(name, kinds, needed, write_body(inner))
    s.functions = (*s.functions, made)


def write_body(inner: Scope) -> str:
    """Write a function's body; returns the kind of its result, or ''."""
    dice = inner.dice
    r = dice.random()
    if r < 0.12:
        return search(inner)
    blocks.fill(inner, 1, 4)
    if r < 0.3:
        return ""
    if r < 0.45:
        inner.write(f"return {dice.pick(('True', 'True', 'False'))}")
        return FLAG
    if r < 0.55:
        inner.write(f"if {e.condition(inner)}:")
        first, last = dice.shuffled(("True", dice.pick(("False", "False", "None"))))
        inner.block().write(f"return {first}")
        inner.write(f"return {last}")
        return FLAG
    if r < 0.6 and (asked := e.bare(inner)):
        inner.write(f"return not {asked}")
        return FLAG
    kind = dice.pick((NUMBER, NUMBER, TEXT, ROW, TABLE))
    names = inner.all(kind)
    if not names:
        kind = NUMBER
    result = e.number(inner) if kind == NUMBER and dice.chance(0.5) else ""
    inner.write(f"return {result or (dice.recent(names) if names else e.plain(inner))}")
    return kind


def search(inner: Scope) -> str:
    """Write a loop that returns whether any item of a list passes a test."""
    dice = inner.dice
    lists = inner.all(ROW)
    if not lists:
        bind_row(inner)
        lists = inner.all(ROW)
    loop = inner.block()
    many = dice.recent(lists)
    inner.write(f"for {one(loop, NUMBER, many)} in {many}:")
    loop.write(f"if {e.comparison(loop)}:")
    found, missing = dice.pick(
        (("True", "False"), ("True", "False"), ("False", "True"))
    )
    loop.block().write(f"return {found}")
    inner.write(f"return {missing}")
    return FLAG
