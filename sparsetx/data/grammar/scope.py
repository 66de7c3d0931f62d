"""Scopes: the names, by kind, and functions that are bound at a point of a program.

A statement may use only names of its scope, so that every variable is bound before it
is read. A block sees the names of the scope around it; names bound in a block are
dropped at its end, since the block may not have run. A function starts with its
parameters only.
"""

from dataclasses import dataclass

from sparsetx.data.grammar.chances import Dice, Table
from sparsetx.data.words import FLAGS, FUNCTIONS, MANY, ONE, TEXTS, one_of

NUMBER, TEXT, FLAG = "number", "text", "flag"
ROW, ROWS, WORDS = "row", "rows", "words"  # [1, 2], [[1], [2]], ["red"]
TABLE, SEEN, GROWING = "table", "seen", "growing"  # dict, set, text grown by +=
FILE, MAKER = "file", "maker"  # an open file; a function of one number

SINGLE = Table(words=ONE)
PLURAL = Table(words=MANY)
VERB = Table(words=FUNCTIONS)
SINGULAR = {many: one_of(many) for many in MANY}
# A name suggests what it holds, as a programmer's does, but does not determine it: it
# is drawn from the list that suits its kind or from all singular names, and one in five
# from the plural names. Sets and growing texts share all their names.
OTHER_LIST, SUITS = 0.2, 0.6
SUITED = {
    TEXT: Table(words=TEXTS),
    FLAG: Table(words=FLAGS),
    NUMBER: Table(words=[name for name in ONE if name not in (*TEXTS, *FLAGS)]),
}
PLURAL_KINDS = (ROW, ROWS, WORDS, TABLE)


@dataclass(frozen=True)
class Style:
    """The coding style of one document."""

    quote: str  # of every string, or "" if each string has its own
    gap: str  # between definitions: one empty line or two
    drill: bool = False  # mostly swaps, sets and texts that grow, opened files


@dataclass(frozen=True)
class Function:
    """A function that may be called; the first `needed` parameters have no default."""

    name: str
    kinds: tuple[str, ...]
    needed: int
    returns: str  # a kind, or "" for nothing


Known = dict[str, tuple[str, ...]]


class Scope:
    __slots__ = (
        "depth", "dice", "functions", "in_function", "in_loop", "known", "out", "pad",
        "style", "taken",
    )  # fmt: skip

    def __init__(self, dice: Dice, style: Style, out: list[str], pad: str = ""):
        self.dice, self.style, self.out, self.pad = dice, style, out, pad
        self.depth = 0  # nesting of blocks within the module or the function
        self.in_loop = self.in_function = False
        self.known: Known = {}
        self.taken: set[str] = set()
        self.functions: tuple[Function, ...] = ()

    def write(self, line: str) -> None:
        self.out.append(self.pad + line)

    def block(self) -> "Scope":
        """A scope for the body of an if, a loop or a with."""
        inner = Scope(self.dice, self.style, self.out, self.pad + "    ")
        inner.depth = self.depth + 1
        inner.in_loop, inner.in_function = self.in_loop, self.in_function
        inner.known, inner.taken = self.known.copy(), self.taken.copy()
        inner.functions = self.functions
        return inner

    def body(self) -> "Scope":
        """A scope for the body of a function: it has only the functions."""
        inner = Scope(self.dice, self.style, self.out, self.pad + "    ")
        inner.in_function = True
        inner.functions = self.functions
        inner.taken = {function.name for function in self.functions}
        return inner

    def all(self, kind: str) -> tuple[str, ...]:
        return self.known.get(kind, ())

    def bind(self, kind: str, name: str) -> None:
        self.known[kind] = (*self.known.get(kind, ()), name)
        self.taken.add(name)

    def name(self, kind: str) -> str:
        """A new name for a value of this kind; the caller binds it."""
        dice = self.dice
        many = kind in PLURAL_KINDS or (kind in (SEEN, GROWING) and dice.chance(0.5))
        if dice.chance(OTHER_LIST):
            many = not many
        table = PLURAL if many else SINGLE
        if not many and kind in SUITED and dice.chance(SUITS):
            table = SUITED[kind]
        while (name := dice.draw(table)) in self.taken:
            pass
        return name

    def new(self, kind: str) -> str:
        """A new name, bound in this scope."""
        name = self.name(kind)
        self.bind(kind, name)
        return name

    def verb(self) -> str:
        """A new name for a function: `load`, or `load_users`."""
        dice = self.dice
        while True:
            name = dice.draw(VERB)
            if dice.chance(0.35):
                name += "_" + dice.draw(PLURAL if dice.chance(0.5) else SINGLE)
            if name not in self.taken:
                self.taken.add(name)
                return name
