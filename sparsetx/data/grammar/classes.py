"""Class definitions: a constructor that stores its parameters, and methods."""

from sparsetx.data.grammar import blocks, functions
from sparsetx.data.grammar import expressions as e
from sparsetx.data.grammar.chances import Table
from sparsetx.data.grammar.comments import docstring
from sparsetx.data.grammar.scope import FLAG, NUMBER, ROW, TEXT, WORDS, Function, Scope
from sparsetx.data.grammar.statements import call_function, given
from sparsetx.data.words import CLASSES

CLASS = Table(words=CLASSES)
KINDS = (NUMBER,) * 4 + (TEXT, TEXT, ROW, WORDS, FLAG)
EXTRAS = ("0", "1", "None", "[]", "{}", "True", "False", "set()", '""')


def define(s: Scope) -> None:
    """Write a class, and mostly an instance of it for the lines that follow."""
    dice = s.dice
    name = dice.draw(CLASS)
    s.write(f"class {name}:")
    inner = s.block()
    if dice.chance(0.12):
        docstring(inner)
    if dice.chance(0.12):
        inner.write(f"{inner.name(NUMBER)} = {e.literal(s)}\n")
    made, attributes = constructor(inner, name)
    methods = []
    for _ in range(dice.pick((0, 1, 1, 2))):
        s.out.append("")
        methods.append(method(inner, attributes))
    s.out.append(s.style.gap[:-1])
    if dice.chance(0.7):
        made_one(s, made, attributes, methods)


Attributes = dict[str, str]  # name -> kind


def constructor(inner: Scope, name: str) -> tuple[Function, Attributes]:
    """Write `self.a = a` for every parameter, in any order, among other lines."""
    dice = inner.dice
    body = inner.body()
    count = dice.pick((2, 2, 2, 3, 3, 4))
    kinds = tuple(dice.pick(KINDS) for _ in range(count))
    names = [body.new(kind) for kind in kinds]
    inner.write(f"def __init__(self, {', '.join(names)}):")
    attributes = dict(zip(names, kinds, strict=True))
    for parameter in names if dice.chance(0.45) else dice.shuffled(names):
        if dice.chance(0.12):
            other(body, names)
        body.write(f"self.{parameter} = {parameter}")
    if dice.chance(0.35):
        extra = body.name(NUMBER)
        body.write(f"self.{extra} = {dice.pick(EXTRAS)}")
    return Function(name, kinds, count, ""), attributes


def other(body: Scope, names: list[str]) -> None:
    """Write another attribute, computed from a parameter or from a literal."""
    dice = body.dice
    value = dice.pick(names) if dice.chance(0.7) else dice.pick(EXTRAS)
    if value in names and dice.chance(0.5):
        value = f"{value} {dice.pick('+-*')} {e.literal(body)}"
    elif dice.chance(0.2):
        value = f"{e.literal(body)} {dice.pick('+-*')} {e.literal(body)}"
    name = body.name(NUMBER)
    body.taken.add(name)
    body.write(f"self.{name} = {value}")


def method(inner: Scope, attributes: Attributes) -> Function:
    dice = inner.dice
    body = inner.body()
    for name, kind in attributes.items():
        body.bind(kind, f"self.{name}")
    verb = body.verb()
    text, kinds, needed = functions.parameters(body, dice.pick((0, 0, 1, 1, 2)))
    inner.write(f"def {verb}({'self, ' if text else 'self'}{text}):")
    return Function(verb, kinds, needed, functions.write_body(body))


def made_one(
    s: Scope, made: Function, attributes: Attributes, methods: list[Function]
) -> None:
    """Write `user = User("ann", 3)`; the next lines may use its attributes, methods."""
    dice = s.dice
    own = made.name.lower()
    name = own if dice.chance(0.5) else s.name(NUMBER)
    s.write(f"{name} = {e.call(s, made)}")
    s.taken.add(name)
    for attribute, kind in attributes.items():
        if kind in (NUMBER, TEXT):
            s.bind(kind, f"{name}.{attribute}")
    s.functions = tuple(
        Function(f"{name}.{found.name}", found.kinds, found.needed, found.returns)
        for found in methods
    )
    if dice.chance(0.4):
        s.write(f"{name}.{s.name(NUMBER)} = {given(s)}")
    if methods and dice.chance(0.7):
        call_function(s)
    blocks.fill(s, 0, 2)
