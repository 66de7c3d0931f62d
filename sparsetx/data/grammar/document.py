"""One program of tinypython: a script, a module of functions, or a class and its use.

The i-th document of a seed is a pure function of both numbers, so a corpus of any size
can be made by any number of processes in any order, with the same bytes.
"""

from sparsetx.data.grammar import blocks, classes, functions
from sparsetx.data.grammar.chances import Dice
from sparsetx.data.grammar.comments import comment, docstring
from sparsetx.data.grammar.scope import Scope, Style
from sparsetx.data.grammar.statements import call_function

VERSION = 3  # of the grammar: raised whenever any document changes
SHORTEST, LONGEST = 60, 1600  # characters


def document(seed: int, index: int) -> str:
    """A program that parses, and that reads only names which it has bound before."""
    dice = Dice(seed, index)
    while True:
        text = program(dice)
        if SHORTEST <= len(text) <= LONGEST:
            return text


def program(dice: Dice) -> str:
    r = dice.random()
    quote = '"' if r < 0.15 else "'" if r < 0.3 else ""
    s = Scope(dice, Style(quote, dice.pick(("\n", "\n\n"))), [])
    if dice.chance(0.06):
        docstring(s)
        s.out.append("")
    elif dice.chance(0.12):
        comment(s)
    r = dice.random()
    write = script if r < 0.45 else module if r < 0.75 else classes.define
    write(s)
    return "\n".join(s.out).rstrip("\n") + "\n"


def script(s: Scope) -> None:
    if s.dice.chance(0.2):
        functions.define(s)
        s.out.append(s.style.gap[:-1])
    blocks.fill(s, *s.dice.pick(((2, 5), (4, 8), (4, 12))))


def module(s: Scope) -> None:
    for _ in range(s.dice.pick((1, 1, 2, 2, 3))):
        functions.define(s)
        s.out.append(s.style.gap[:-1])
    if s.dice.chance(0.65):
        for _ in range(s.dice.between(1, 2)):
            call_function(s)
        blocks.fill(s, 0, 3)
