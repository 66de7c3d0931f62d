"""Compound statements (if, for, while, with), and the choice of the next statement."""

from collections.abc import Callable

from sparsetx.data.grammar import expressions as e
from sparsetx.data.grammar import statements as st
from sparsetx.data.grammar.chances import Table
from sparsetx.data.grammar.comments import comment
from sparsetx.data.grammar.idioms import idiom, one
from sparsetx.data.grammar.scope import (
    FLAG,
    GROWING,
    NUMBER,
    ROW,
    ROWS,
    SEEN,
    TABLE,
    TEXT,
    WORDS,
    Function,
    Scope,
)

Statement = Callable[[Scope], None]
INDEX_NAMES = Table({"i": 8, "j": 2, "k": 2, "n": 2, "index": 3})
HELD = {ROW: NUMBER, ROWS: ROW}  # what a list holds; any other holds texts
DEEPEST = 3  # nesting of blocks within a module or a function
ENTER = (0.36, 0.26, 0.1)  # chance that a statement is a block, by depth


def simple(s: Scope) -> None:
    SIMPLE[s.dice.draw(DRILLED_SIMPLE if s.style.drill else SIMPLE_WEIGHTS)](s)


def statement(s: Scope) -> None:
    if s.dice.chance(0.05):
        comment(s)
    if s.depth < DEEPEST and s.dice.chance(ENTER[s.depth]):
        BLOCKS[s.dice.draw(DRILLED_BLOCKS if s.style.drill else BLOCK_WEIGHTS)](s)
    else:
        simple(s)


def fill(s: Scope, low: int, high: int) -> None:
    for _ in range(s.dice.between(low, high)):
        statement(s)


def leave(s: Scope) -> bool:
    """Write `return`, `break` or `continue`; False if none of them is possible."""
    dice = s.dice
    if s.in_loop and dice.chance(0.5):
        s.write(dice.pick(("break", "continue")))
        return True
    if s.in_function:
        value = dice.pick((e.plain, e.plain, constant))(s)
        s.write(f"return {value}")
        return True
    return False


def constant(s: Scope) -> str:
    return s.dice.pick(e.CONSTANTS)


def branch(s: Scope) -> None:
    dice = s.dice
    if (dice.chance(0.45) and not s.all(FLAG)) or not e.anything(s):
        dice.pick((st.bind_flag, st.bind_flag, st.bind_number))(s)
    asked = [e.condition(s)]
    s.write(f"if {asked[0]}:")
    arm(s)
    while dice.chance(0.3):
        if (again := e.condition(s)) not in asked:
            asked.append(again)
            s.write(f"elif {again}:")
            arm(s)
    if dice.chance(0.4):
        s.write("else:")
        arm(s)


def arm(s: Scope) -> None:
    inner = s.block()
    if not (s.dice.chance(0.15) and leave(inner)):
        fill(inner, 1, 2)
        if s.dice.chance(0.12):
            leave(inner)


def loop_body(inner: Scope, low: int = 1, high: int = 3) -> None:
    inner.in_loop = True
    fill(inner, low, high)


def loop_items(s: Scope) -> None:
    """`for x in xs:`"""
    kind = s.dice.pick((ROW, ROW, WORDS, TABLE, ROWS, TEXT))
    over = "input()" if s.dice.chance(0.05) else st.need(s, kind, 0.05)
    inner = s.block()
    held = HELD.get(kind, TEXT)
    s.write(f"for {one(inner, held, over)} in {over}:")
    loop_body(inner)


def index(inner: Scope) -> str:
    if inner.dice.chance(0.5):
        name = inner.dice.draw(INDEX_NAMES)
        if name not in inner.taken:
            inner.bind(NUMBER, name)
            return name
    return one(inner, NUMBER)


def loop_range(s: Scope) -> None:
    inner = s.block()
    dice = s.dice
    end = f"len({dice.pick(s.all(ROW))})" if s.all(ROW) and dice.chance(0.3) else ""
    end = end or e.plain(s)
    start = f"{dice.pick('112')}, " if dice.chance(0.15) else ""
    s.write(f"for {index(inner)} in range({start}{end}):")
    loop_body(inner)


def loop_two(s: Scope) -> None:
    """`for i, x in enumerate(xs):`, and other loops that unpack two."""
    dice = s.dice
    if dice.chance(0.7):
        kind = dice.pick((ROW, WORDS, ROWS, TEXT))
        over = st.need(s, kind, 0.05)
        inner = s.block()
        first = index(inner)
        second = one(inner, HELD.get(kind, TEXT), over)
        s.write(f"for {first}, {second} in enumerate({over}):")
    elif dice.chance(0.5):
        over = st.bind_pairs(s)
        inner = s.block()
        first, second = one(inner, NUMBER), one(inner, NUMBER)
        s.write(f"for {first}, {second} in {over}:")
    else:
        over = st.need(s, TABLE)
        inner = s.block()
        first, second = one(inner, TEXT), one(inner, NUMBER)
        s.write(f"for {first}, {second} in {over}.items():")
    loop_body(inner)


def also(s: Scope, name: str) -> str:
    """A second condition of a while loop, ` and b`, sometimes."""
    other = e.bare(s) if s.dice.chance(0.15) else ""
    return f" and {other}" if other not in ("", name) else ""


def loop_while(s: Scope) -> None:
    """Counts down, counts up, or empties a list."""
    dice = s.dice
    r = dice.random()
    if r < 0.55:
        name = st.need(s, NUMBER)
        s.write(f"while {name}{also(s, name)}:")
        inner = s.block()
        loop_body(inner, 1, 2)
        step = "1" if dice.chance(0.7) else dice.pick("235")
        inner.write(f"{name} -= {step}" if dice.chance(0.7) else f"{name} //= 2")
    elif r < 0.7:
        kind = dice.pick((ROW, WORDS))
        name = st.need(s, kind)
        s.write(f"while {name}{also(s, name)}:")
        inner = s.block()
        inner.write(f"{one(inner, HELD.get(kind, TEXT), name)} = {name}.pop()")
        loop_body(inner, 1, 2)
    else:
        name = st.need(s, NUMBER)
        order, step = dice.pick((("<", "+="), ("<", "+="), (">", "-=")))
        s.write(f"while {name} {order} {e.plain(s, name)}:")
        inner = s.block()
        loop_body(inner, 1, 2)
        inner.write(f"{name} {step} {dice.pick('112')}")


def loop_forever(s: Scope) -> None:
    dice = s.dice
    if not e.anything(s):
        st.bind_number(s)
    s.write("while True:")
    inner = s.block()
    loop_body(inner, 1, 2)
    if dice.chance(0.8):
        inner.write(f"if {e.condition(inner)}:")
        way_out = "return " + e.plain(inner) if s.in_function else "break"
        inner.block().write(way_out if dice.chance(0.5) else "break")


def with_file(s: Scope) -> None:
    opened = st.opening(s)
    inner = s.block()
    name = st.file_name(inner)
    inner.taken.add(name)
    s.write(f"with {opened} as {name}:")
    writing = opened.endswith(("w')", 'w")'))
    if not writing and s.dice.chance(0.3):
        inner.write(f"for {one(inner, TEXT)} in {name}:")
        loop_body(inner.block(), 1, 1)
        return
    st.use_file(inner, name, writing)
    if s.dice.chance(0.3):
        fill(inner, 1, 1)


def collect(s: Scope) -> None:
    """Bind an empty set or text, and add to it some lines later."""
    dice = s.dice
    kind, other = dice.pick(((SEEN, GROWING), (GROWING, SEEN)))
    second = dice.random()  # half of the time one of the other type is bound too
    if second < 0.25:
        st.begin(s, other)
    name = st.begin(s, kind)
    if 0.25 <= second < 0.5:
        st.begin(s, other)
    for _ in range(dice.pick((0, 0, 1, 1, 2, 3, 4))):
        simple(s)
    inner = s
    if dice.chance(0.55):
        over = st.need(s, dice.pick((WORDS, TEXT, TABLE)))
        inner = s.block()
        s.write(f"for {one(inner, TEXT, over)} in {over}:")
        if dice.chance(0.3):
            simple(inner)
    if dice.chance(0.15):
        inner.write(f"if {e.condition(inner)}:")
        inner = inner.block()
    more = st.item if kind == SEEN else e.text
    inner.write(
        f"{name}.add({more(inner)})" if kind == SEEN else f"{name} += {more(inner)}"
    )


def inner_function(s: Scope) -> None:
    """A nested function without parameters that reads outer names, named as a value."""
    if s.depth == 0 and not s.in_function:
        return st.make_lambda(s)
    name = s.name(NUMBER)
    s.write(f"def {name}():")
    inner = s.block()
    if s.dice.chance(0.65):
        inner.write(f"return {e.number(inner)}")
    else:
        st.print_value(inner) if s.dice.chance(0.5) else st.print_words(inner)
    s.taken.add(name)
    s.functions = (*s.functions, Function(name, (), 0, ""))
    return None


SIMPLE: dict[str, Statement] = {
    "number": st.bind_number,
    "text": st.bind_text,
    "flag": st.bind_flag,
    "row": st.bind_row,
    "rows": st.bind_rows,
    "words": st.bind_words,
    "table": st.bind_table,
    "add": st.add_to,
    "swap": st.swap,
    "print words": st.print_words,
    "print formatted": st.print_formatted,
    "print value": st.print_value,
    "list": st.change_list,
    "item": st.change_table,
    "choose": st.choose,
    "lambda": st.make_lambda,
    "grow": st.grow,
    "call": st.call_function,
    "open": st.open_file,
}
SIMPLE_WEIGHTS = Table(
    {
        "number": 8, "text": 4, "flag": 6, "row": 4.5, "rows": 4.5, "words": 4,
        "table": 4, "add": 5, "swap": 3.5, "print words": 9, "print formatted": 8,
        "print value": 9, "list": 4, "item": 2, "choose": 6.5, "lambda": 3.5, "grow": 3,
        "call": 6, "open": 6,
    }
)  # fmt: skip
BLOCKS: dict[str, Statement] = {
    "branch": branch,
    "items": loop_items,
    "range": loop_range,
    "idiom": idiom,
    "two": loop_two,
    "while": loop_while,
    "forever": loop_forever,
    "with": with_file,
    "collect": collect,
    "function": inner_function,
}
BLOCK_WEIGHTS = Table(
    {
        "branch": 28, "items": 9, "range": 8, "two": 8, "idiom": 6, "while": 17,
        "forever": 10, "with": 14, "collect": 21, "function": 11,
    }
)  # fmt: skip
# Of a drill: what models learn last (swaps, empty sets and texts, modes of files).
DRILLED_SIMPLE = Table(
    {
        "number": 6, "text": 3, "flag": 3, "row": 2, "rows": 2, "words": 2, "table": 1,
        "add": 3, "swap": 16, "print words": 2, "print formatted": 2, "print value": 4,
        "choose": 2, "lambda": 2, "grow": 14, "call": 4, "open": 16,
    }
)  # fmt: skip
DRILLED_BLOCKS = Table(
    {"branch": 16, "items": 6, "range": 6, "while": 10, "with": 22, "collect": 40}
)
