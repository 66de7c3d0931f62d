"""Simple statements: assignments, prints, updates, files, calls."""

from collections.abc import Callable

from sparsetx.data.grammar import expressions as e
from sparsetx.data.grammar.chances import Table
from sparsetx.data.grammar.scope import (
    FILE,
    FLAG,
    GROWING,
    MAKER,
    NUMBER,
    PLURAL_KINDS,
    ROW,
    ROWS,
    SEEN,
    TABLE,
    TEXT,
    WORDS,
    Function,
    Scope,
)

PATH_NAMES = Table({"path": 5, "file_name": 3, "name": 2, "source": 1, "target": 1})
FILE_NAMES = Table({"f": 6, "file": 3, "handle": 1, "stream": 1})


def target(s: Scope, kind: str) -> str:
    """The target of an assignment: mostly a new name, sometimes an existing one."""
    names = s.all(kind)
    return s.dice.recent(names) if names and s.dice.chance(0.25) else s.new(kind)


def bind_number(s: Scope) -> None:
    dice = s.dice
    if dice.chance(0.08):
        first, second = e.number(s), e.number(s)
        a, b = s.new(NUMBER), s.new(NUMBER)
        s.write(f"{a}, {b} = {first}, {second}")
        return
    value = e.constant_number(s) if dice.chance(0.45) else e.number(s)
    name = target(s, NUMBER)
    s.write(f"{name} = {value if value != name else e.literal(s)}")


def bind_text(s: Scope) -> None:
    r = s.dice.random()
    value = f"input({e.prompt(s) if r < 0.1 else ''})" if r < 0.2 else e.text(s)
    if r > 0.96:
        value = f"str({e.braced(s)})"
    name = target(s, TEXT)
    s.write(f"{name} = {value if value != name else e.string(s)}")


def bind_flag(s: Scope) -> None:
    r = s.dice.random()
    if r < 0.12 and e.anything(s):
        value = e.comparison(s)
    elif r < 0.2 and s.all(FLAG):
        value = f"not {s.dice.pick(s.all(FLAG))}"
    else:
        value = s.dice.pick(e.CONSTANTS)
    s.write(f"{target(s, FLAG)} = {value}")


def bind_row(s: Scope) -> None:
    if s.dice.chance(0.12):
        value = f"{e.row(s)}, {e.row(s)}"
        s.write(f"{s.new(ROW)}, {s.new(ROW)} = {value}")
        return
    value = "[]" if s.dice.chance(0.15) else e.row(s)
    s.write(f"{target(s, ROW)} = {value}")


def bind_rows(s: Scope) -> None:
    if s.dice.chance(0.22):  # two rows of one list
        value = f"[{e.row(s)}, {e.row(s)}]"
        s.write(f"{s.new(ROW)}, {s.new(ROW)} = {value}")
        if s.dice.chance(0.6) and s.all(ROWS):
            return
    value = e.rows(s)
    s.write(f"{target(s, ROWS)} = {value}")


def bind_pairs(s: Scope) -> str:
    """Write `points = [[1, 2], [3, 4]]`: a list to be unpacked in a loop."""
    pairs = [f"[{e.literal(s)}, {e.literal(s)}]" for _ in range(s.dice.between(2, 3))]
    name = s.new(ROWS)
    s.write(f"{name} = [{', '.join(pairs)}]")
    return name


def bind_words(s: Scope) -> None:
    value = e.words(s)
    if s.dice.chance(0.15):
        texts = s.all(TEXT)
        value = f"list({s.dice.recent(texts) if texts else 'input()'})"
    s.write(f"{target(s, WORDS)} = {value}")


def bind_table(s: Scope) -> None:
    value = "{}" if s.dice.chance(0.12) else e.table(s)
    s.write(f"{target(s, TABLE)} = {value}")


BINDERS: dict[str, Callable[[Scope], None]] = {
    NUMBER: bind_number,
    TEXT: bind_text,
    FLAG: bind_flag,
    ROW: bind_row,
    ROWS: bind_rows,
    WORDS: bind_words,
    TABLE: bind_table,
}


def need(s: Scope, kind: str, fresh: float = 0.1) -> str:
    """A name of this kind; if there is none, one is bound in a line before."""
    if not s.all(kind) or s.dice.chance(fresh):
        BINDERS[kind](s)
    return s.dice.recent(s.all(kind))


def add_to(s: Scope) -> None:
    """`total += price` and the like."""
    name = need(s, NUMBER)
    left, sign, right = e.operation(s, name).split(" ", 2)
    s.write(f"{left} {sign}= {right}")


def swap(s: Scope) -> None:
    numbers = s.all(NUMBER)
    while len(set(numbers)) < 2:
        bind_number(s)
        numbers = s.all(NUMBER)
    a = s.dice.recent(numbers)
    while (b := s.dice.recent(numbers)) == a:
        pass
    s.write(f"{a}, {b} = {b}, {a}")


def print_words(s: Scope) -> None:
    s.write(f"print({e.string(s, 1, 3)})")


def print_formatted(s: Scope) -> None:
    if not e.anything(s):
        bind_number(s)
    low = s.dice.pick((0, 1, 2, 2, 2))
    s.write(f"print({e.formatted(s, low)})")


def print_value(s: Scope) -> None:
    dice = s.dice
    r = dice.random()
    if r < 0.4:
        shown = e.value(s) if r < 0.3 else e.number(s)
    elif r < 0.65:
        second = e.value(s) if r < 0.61 else e.string(s, 1, 1)
        shown = f"{e.string(s, 1, 2)}, {second}"
    elif r < 0.75:
        shown = f"{e.value(s)}, {e.number(s)}"
    else:
        maker = dice.pick((e.short_row, e.short_rows, e.words, e.table, e.string))
        led = e.literal(s) if r < 0.81 else e.value(s)
        shown = f"{led}, {maker(s)}" if r < 0.92 else maker(s)
    s.write(f"print({shown})")


def change_list(s: Scope) -> None:
    dice = s.dice
    kind = dice.pick((ROW, ROW, WORDS, ROWS))
    name = need(s, kind)
    if dice.chance(0.15):
        s.write(f"{name}.{dice.pick(('sort', 'reverse', 'pop'))}()")
        return
    item = {ROW: e.plain, WORDS: e.text, ROWS: e.row}[kind](s)
    s.write(f"{name}.append({item})")


def change_table(s: Scope) -> None:
    name = need(s, TABLE)
    s.write(f"{name}[{e.string(s, 1, 1)}] = {given(s)}")


def given(s: Scope) -> str:
    """A value for an item or an attribute: a number, or something empty."""
    return s.dice.pick(("set()", '""')) if s.dice.chance(0.4) else e.plain(s)


def choose(s: Scope) -> None:
    """`x = a if b else c`"""
    if not e.anything(s):
        bind_flag(s)
    question = e.bare(s) if s.dice.chance(0.75) else e.comparison(s)
    question = question or need(s, FLAG)
    if s.dice.chance(0.2):
        value = f"{e.string(s, 1, 1)} if {question} else {e.string(s, 1, 1)}"
        s.write(f"{s.new(TEXT)} = {value}")
        return
    first = e.plain(s, question)
    last = e.plain(s, first)
    last = e.literal(s) if last == question else last
    r = s.dice.random()
    if r < 0.35:
        last = e.operation(s, question if r < 0.1 else first)
    if 0.3 < r < 0.45:
        first = e.operation(s, first)
    value = f"{first} if {question} else {last}"
    s.write(f"{target(s, NUMBER)} = {value}")


def make_lambda(s: Scope) -> None:
    dice = s.dice
    inside = s.name(NUMBER)
    body = inside if dice.chance(0.15) else e.operation(s, inside)
    s.write(f"{s.new(MAKER)} = lambda {inside}: {body}")


def grow(s: Scope) -> None:
    """Add to a set or a text that was bound empty."""
    kind = s.dice.pick((SEEN, GROWING))
    if not s.all(kind):
        kind = SEEN if kind == GROWING else GROWING
    if s.all(kind):
        grow_by(s, kind, s.dice.recent(s.all(kind)))
    else:
        begin(s, kind)


def grow_by(s: Scope, kind: str, name: str) -> None:
    s.write(f"{name}.add({item(s)})" if kind == SEEN else f"{name} += {e.text(s)}")


def item(s: Scope) -> str:
    """An item for a set."""
    return e.plain(s) if s.dice.chance(0.6) else e.text(s)


def begin(s: Scope, kind: str) -> str:
    """Write `x = set()` or `x = ""`; only this line tells what x holds."""
    name = "current" if s.dice.chance(0.85) and "current" not in s.taken else ""
    name = name or s.name(kind)
    mark = "'" if s.style.quote == "'" else '"'
    s.write(f"{name} = {'set()' if kind == SEEN else mark + mark}")
    s.bind(kind, name)
    return name


def call_function(s: Scope) -> None:
    """Write a call of a function of this program, or of a lambda."""
    dice = s.dice
    makers = s.all(MAKER)
    if makers and (not s.functions or dice.chance(0.5)):
        made = Function(dice.recent(makers), (NUMBER,), 1, NUMBER)
    elif s.functions:
        made = dice.recent(s.functions)
    else:
        return print_value(s)
    for kind in made.kinds:  # a list or dict is mostly bound before, not written inline
        if kind in PLURAL_KINDS and not s.all(kind):
            BINDERS[kind](s)
    called = e.call(s, made)
    if not made.returns or dice.chance(0.1):
        s.write(called)
    elif dice.chance(0.35):
        s.write(f"print({called})")
    else:
        s.write(f"{s.new(made.returns)} = {called}")
    return None


def opening(s: Scope) -> str:
    """`open(path)` or `open("input.txt", "r")`: the stem decides the mode."""
    dice = s.dice
    if dice.chance(0.42):
        if not s.all(TEXT):
            mark = e.quote(s)
            known = mark + e.path(s, e.READ) + mark
            s.write(f"{path_name(s)} = {known if dice.chance(0.7) else 'input()'}")
        return f"open({dice.recent(s.all(TEXT))})"
    mark = s.style.quote or dice.pick('""\'')
    stems, mode = dice.pick(((e.READ, "r"), (e.WRITE, "w")))
    return f"open({mark}{e.path(s, stems)}{mark}, {mark}{mode}{mark})"


def path_name(s: Scope) -> str:
    name = s.dice.draw(PATH_NAMES)
    if s.dice.chance(0.5) or name in s.taken:
        return s.new(TEXT)
    s.bind(TEXT, name)
    return name


def file_name(s: Scope) -> str:
    name = s.dice.draw(FILE_NAMES)
    return name if s.dice.chance(0.6) and name not in s.taken else s.name(FILE)


def open_file(s: Scope) -> None:
    opened = opening(s)
    name = file_name(s)
    s.write(f"{name} = {opened}")
    s.taken.add(name)
    use_file(s, name, writing=opened.endswith(("w')", 'w")')))
    if s.dice.chance(0.6):
        s.write(f"{name}.close()")


def use_file(s: Scope, name: str, writing: bool) -> None:
    dice = s.dice
    if writing:
        s.write(f"{name}.write({e.text(s)})")
    elif dice.chance(0.55):
        s.write(f"{s.new(TEXT)} = {name}.read()")
    elif dice.chance(0.5):
        s.write(f"print({name}.read())")
    elif dice.chance(0.6) or not s.all(NUMBER):
        size = f"len({name}.read())"
        s.write(f"print({size})" if dice.chance(0.5) else f"{s.new(NUMBER)} = {size}")
    else:
        s.write(f"{dice.recent(s.all(NUMBER))} += len({name}.read())")
