"""Expressions: literals, numbers, texts, conditions, calls."""

from sparsetx.data.grammar.chances import Table
from sparsetx.data.grammar.scope import (
    FLAG,
    GROWING,
    NUMBER,
    ROW,
    SEEN,
    SINGLE,
    TABLE,
    TEXT,
    WORDS,
    Function,
    Scope,
)
from sparsetx.data.words import (
    EXTENSIONS,
    JOINING,
    LEADING,
    READ_STEMS,
    WRITE_STEMS,
    listed,
)
from sparsetx.data.words import WORDS as STRING_WORDS

WORD = Table(words=STRING_WORDS)
BEGINS, JOINS = Table(words=LEADING), Table(words=JOINING)
READ = Table(words=READ_STEMS)
WRITE = Table(words=WRITE_STEMS)
# The smaller and the rounder, the more frequent.
SMALL = listed("0 1 1 1 2 2 2 3 3 4 5 5 6 7 8 9 10 10 12 15 20 25 30 40 50 60 100")
SIGNS = listed("+ + + - - * * // %")
ORDERS = listed("> > > < < >= <= != == == ==")
CONSTANTS = listed("True True True False False None")
ROW_LENGTHS = (1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6, 8, 10, 12)
INNER_LENGTHS = (1, 2, 2, 3, 3, 4)  # of rows, if a list holds several
ROW_COUNTS = (1, 1, 1, 2, 2, 3)


def literal(s: Scope) -> str:
    dice = s.dice
    return dice.pick(SMALL) if dice.chance(0.7) else str(dice.below(100))


def quote(s: Scope) -> str:
    return s.style.quote or s.dice.pick("\"'")


def phrase(s: Scope, low: int, high: int) -> str:
    """Words: `red apple`, `the total`, `loss of bread`. Some are names of variables."""
    dice = s.dice
    count = dice.between(low, high)
    found: list[str] = []
    for place in range(count):
        small = place < count - 1 and (place == 0 or count > 2) and dice.chance(0.3)
        if small and (not found or found[-1] not in LEADING):
            found.append(dice.draw(JOINS if found else BEGINS))
        else:
            word = dice.draw(SINGLE if dice.chance(0.15) else WORD)
            found.append(word.replace("_", " "))
    return " ".join(found)


def string(s: Scope, low: int = 1, high: int = 2) -> str:
    mark = quote(s)
    return mark + phrase(s, low, high) + mark


def formatted(s: Scope, low: int = 0) -> str:
    """An f-string, with at least `low` words before its first brace."""
    dice = s.dice
    mark = quote(s)
    before = phrase(s, low, 2) if low else dice.pick(("", phrase(s, 1, 2)))
    text = f"{before} " if before else ""
    first, second = value(s), value(s)
    text += "{" + first + "}"
    if dice.chance(0.3):
        text += f" {phrase(s, 1, 1)}"
    if dice.chance(0.3) and second != first:
        text += f" {{{second}}}"
    return f"f{mark}{text}{mark}"


def row(s: Scope, lengths: tuple[int, ...] = ROW_LENGTHS) -> str:
    dice = s.dice
    numbers = s.all(NUMBER)
    if numbers and dice.chance(0.12):
        return f"[{', '.join(dice.pick(numbers) for _ in range(dice.between(2, 3)))}]"
    count = dice.pick(lengths)
    return "[" + ", ".join([literal(s) for _ in range(count)]) + "]"


def rows(s: Scope, alone: tuple[int, ...] = ROW_LENGTHS) -> str:
    """`[[1, 2], [3]]`; `alone`: possible lengths of a single row."""
    dice = s.dice
    if dice.chance(0.1):
        return "[" + ", ".join(["[]"] * dice.between(1, 2)) + "]"
    count = dice.pick(ROW_COUNTS)
    lengths = INNER_LENGTHS if count > 1 else alone
    return "[" + ", ".join([row(s, lengths) for _ in range(count)]) + "]"


def short_row(s: Scope) -> str:
    return row(s, INNER_LENGTHS)


def short_rows(s: Scope) -> str:
    return rows(s, INNER_LENGTHS)


def words(s: Scope) -> str:
    mark = quote(s)
    count = s.dice.between(2, 4)
    found = [mark + word + mark for word in keys(s, count)]
    if s.dice.chance(0.25) and (names := s.all(TEXT) or s.all(NUMBER)):
        found[1:] = [s.dice.recent(names)]
    return f"[{', '.join(found)}]"


def keys(s: Scope, count: int) -> list[str]:
    """`count` different words."""
    found: list[str] = []
    while len(found) < count:
        if (word := s.dice.draw(WORD)) not in found:
            found.append(word)
    return found


def table(s: Scope) -> str:
    dice = s.dice
    mark = quote(s)
    found = [f"{mark}{key}{mark}: {held(s)}" for key in keys(s, dice.between(1, 3))]
    return "{" + ", ".join(found) + "}"


def held(s: Scope) -> str:
    """A value of a dict."""
    r = s.dice.random()
    return plain(s) if r < 0.3 else string(s, 1, 1) if r < 0.36 else literal(s)


def path(s: Scope, stems: Table) -> str:
    """The characters of a file's name."""
    return f"{s.dice.draw(stems)}.{s.dice.pick(EXTENSIONS)}"


def plain(s: Scope, but: str = "") -> str:
    """A number as a name (other than `but`) or a literal."""
    dice = s.dice
    numbers = s.all(NUMBER)
    if numbers and dice.chance(0.7) and (name := dice.recent(numbers)) != but:
        return name
    return literal(s)


def operation(s: Scope, a: str) -> str:
    """`a + b` and the like; b is not a, and a is not multiplied by 0 or 1."""
    sign = s.dice.pick(SIGNS)
    b = plain(s, a)
    return f"{a} {sign} {'2' if b in ('0', '1') and sign not in '+-' else b}"


def number(s: Scope) -> str:
    dice = s.dice
    r = dice.random()
    numbers = s.all(NUMBER)
    if r < 0.25 or not numbers:
        lists = s.all(ROW) or s.all(WORDS) or s.all(TABLE)
        return size(s, dice.recent(lists)) if lists else constant_number(s)
    a = dice.recent(numbers)
    if r < 0.4:
        return a
    if r < 0.45:
        k = literal(s)
        return f"{k} {dice.pick('+-' if k in ('0', '1') else '+-*')} {a}"
    if r < 0.78:
        return operation(s, a)
    if r < 0.86:
        return f"{dice.pick(('max', 'min'))}({a}, {plain(s, a)})"
    if r < 0.89:
        return f"-{a}" if dice.chance(0.4) else f"abs({a})"
    if s.all(ROW):
        return of_row(s)
    return f"({a} {dice.pick('+-')} {plain(s, a)}) * {dice.pick(('2', '3', '10'))}"


def size(s: Scope, what: str) -> str:
    """`len(a)`, or `len(a) + 3`."""
    dice = s.dice
    more = f" {dice.pick('++-*')} {literal(s)}" if dice.chance(0.3) else ""
    return f"len({what}){more}"


def constant_number(s: Scope) -> str:
    """A number without names: mostly a literal, or a sum or a length of literals."""
    r = s.dice.random()
    if r < 0.8:
        return literal(s)
    if r < 0.84:
        return size(s, "input()")
    if r < 0.88:
        return size(s, braced(s))
    if r < 0.91:
        return f"-{literal(s)}"
    return f"{literal(s)} {s.dice.pick('+-*')} {literal(s)}"


def braced(s: Scope) -> str:
    """A string, with or without an f, that has words and a name in braces."""
    mark = quote(s)
    known = anything(s)
    before = "f" if known and s.dice.chance(0.55) else ""
    name = value(s) if known else s.dice.draw(SINGLE)
    return f"{before}{mark}{phrase(s, 2, 2)} {{{name}}}{mark}"


def prompt(s: Scope) -> str:
    """The argument of `input`."""
    return braced(s) if s.dice.chance(0.3) and anything(s) else string(s)


def of_row(s: Scope) -> str:
    dice = s.dice
    name = dice.recent(s.all(ROW))
    if dice.chance(0.5):
        return f"{dice.pick(('sum', 'max', 'min', 'len'))}({name})"
    return f"{name}[{dice.pick(('0', '0', '1', '-1'))}]"


def text(s: Scope) -> str:
    dice = s.dice
    r = dice.random()
    texts = s.all(TEXT)
    if texts and r < 0.35:
        name = dice.pick(texts)
        if r < 0.25:
            return name
        return f"{name}.{dice.pick(('upper', 'lower', 'strip'))}()"
    if s.all(NUMBER) and r < 0.5:
        return f"str({dice.recent(s.all(NUMBER))})"
    return formatted(s) if r > 0.9 and s.all(NUMBER) else string(s)


def value(s: Scope) -> str:
    """A name of anything that can be printed, or a literal."""
    dice = s.dice
    kinds = (NUMBER, TEXT, NUMBER, FLAG, ROW, TABLE, WORDS, SEEN, GROWING)
    for kind in (dice.pick(kinds), NUMBER, TEXT, FLAG, ROW):
        if names := s.all(kind):
            return dice.recent(names)
    return literal(s)


def of_kind(s: Scope, kind: str) -> str:
    """An argument for a parameter of this kind: mostly a name of the kind."""
    names = s.all(kind)
    if names and s.dice.chance(0.75):
        return s.dice.recent(names)
    makers = {NUMBER: literal, TEXT: string, ROW: row, WORDS: words, TABLE: table}
    return makers[kind](s) if kind in makers else s.dice.pick(CONSTANTS)


def call(s: Scope, function: Function) -> str:
    count = s.dice.between(function.needed, len(function.kinds))
    arguments = [of_kind(s, kind) for kind in function.kinds[:count]]
    return f"{function.name}({', '.join(arguments)})"


def comparison(s: Scope) -> str:
    """`a > 3` and the like, of numbers, texts or lengths."""
    dice = s.dice
    r = dice.random()
    if s.all(TEXT) and (r < 0.2 or not s.all(NUMBER)):
        sign = dice.pick(("==", "==", "!="))
        return f"{dice.recent(s.all(TEXT))} {sign} {string(s, 1, 1)}"
    if s.all(NUMBER):
        a = dice.recent(s.all(NUMBER))
        if r > 0.92:
            return f"{a} % {dice.pick(('2', '2', '3', '10'))} == 0"
        other = plain(s, a)
        if other[0].isalpha() and dice.chance(0.15):
            other += f" {dice.pick('+-*')} {dice.pick(('1', '2', literal(s)))}"
        return f"{a} {dice.pick(ORDERS)} {other}"
    lists = s.all(ROW) or s.all(WORDS) or s.all(TABLE)
    if lists:
        return f"len({dice.recent(lists)}) {dice.pick(ORDERS)} {literal(s)}"
    return flag_test(s) if s.all(FLAG) else f"{literal(s)} > {literal(s)}"


def flag_test(s: Scope) -> str:
    return f"{s.dice.recent(s.all(FLAG))} == {s.dice.pick(CONSTANTS)}"


def bare(s: Scope) -> str:
    """A name of anything that can be empty, zero or false, used as a condition."""
    dice = s.dice
    for kind in (dice.pick((FLAG, NUMBER, ROW, TEXT)), FLAG, NUMBER, TEXT, ROW):
        if names := s.all(kind):
            return dice.recent(names)
    return ""


def anything(s: Scope) -> bool:
    """Whether the scope has a name that a condition can use."""
    return any(s.all(kind) for kind in (NUMBER, FLAG, TEXT, ROW))


def condition(s: Scope) -> str:
    dice = s.dice
    r = dice.random()
    if r < 0.3 and (name := bare(s)):
        return name
    if r < 0.36 and (name := bare(s)):
        return f"not {name}"
    if r < 0.77 and s.all(FLAG):
        return flag_test(s)
    if r < 0.81 and (sets := s.all(SEEN) or s.all(ROW)) and s.all(NUMBER):
        return f"{dice.recent(s.all(NUMBER))} in {dice.recent(sets)}"
    asked = comparison(s)
    if r < 0.85 and (name := bare(s)) and name not in asked.split():
        return f"{name} {dice.pick(('and', 'or'))} {asked}"
    return asked
