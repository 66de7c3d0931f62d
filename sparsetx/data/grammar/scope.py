"""What is known at a place in a program: names by kind, functions, how deep it is.

A statement may use only what its scope knows, so that every variable is defined before
it is used. A block sees what stands around it; what a block binds is forgotten at its
end, since the block may not have run. A function starts with its parameters alone.
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
# A name hints at what it holds, as a programmer's does, but never tells: it comes from
# the list that suits its kind or from all names of one thing, and one in five from the
# names of many instead. Sets and growing texts share their names entirely.
OTHER_LIST, SUITS = 0.2, 0.6
SUITED = {
    TEXT: Table(words=TEXTS),
    FLAG: Table(words=FLAGS),
    NUMBER: Table(words=[name for name in ONE if name not in (*TEXTS, *FLAGS)]),
}
PLURAL_KINDS = (ROW, ROWS, WORDS, TABLE)


@dataclass(frozen=True)
class Style:
    """Habits of one document."""

    quote: str  # of every string, or "" where each string has its own
    gap: str  # between definitions: one empty line or two


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
        self.depth = 0  # blocks entered since the module or the function began
        self.in_loop = self.in_function = False
        self.known: Known = {}
        self.taken: set[str] = set()
        self.functions: tuple[Function, ...] = ()

    def write(self, line: str) -> None:
        self.out.append(self.pad + line)

    def block(self) -> "Scope":
        """The inside of an if, a loop or a with."""
        inner = Scope(self.dice, self.style, self.out, self.pad + "    ")
        inner.depth = self.depth + 1
        inner.in_loop, inner.in_function = self.in_loop, self.in_function
        inner.known, inner.taken = self.known.copy(), self.taken.copy()
        inner.functions = self.functions
        return inner

    def body(self) -> "Scope":
        """The inside of a function: nothing is known but other functions."""
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
        """A new name for a thing of this kind; the caller binds it."""
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
        """A new name, bound here."""
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
