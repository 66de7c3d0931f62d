"""Common loops: a sum, a count, the maximum of a list, a filtered list."""

from sparsetx.data.grammar import expressions as e
from sparsetx.data.grammar import statements as st
from sparsetx.data.grammar.scope import NUMBER, ROW, SINGULAR, TABLE, TEXT, WORDS, Scope


def one(inner: Scope, kind: str, many: str = "") -> str:
    """Name of a loop variable; often `price` in a loop over `prices`."""
    name = SINGULAR.get(many, "") if inner.dice.chance(0.5) else ""
    if not name or name in inner.taken:
        name = inner.name(TEXT if kind == TEXT else NUMBER)
    inner.bind(kind, name)
    return name


def total(s: Scope) -> None:
    over = st.need(s, ROW)
    name = s.new(NUMBER)
    s.write(f"{name} = {s.dice.pick('001')}")
    inner = s.block()
    item = one(inner, NUMBER, over)
    s.write(f"for {item} in {over}:")
    if s.dice.chance(0.3):
        inner.write(f"if {item} {s.dice.pick(e.ORDERS)} {e.plain(s)}:")
        inner = inner.block()
    inner.write(f"{name} += {item if s.dice.chance(0.7) else '1'}")


def tally(s: Scope) -> None:
    over = st.need(s, WORDS)
    name = s.new(TABLE)
    s.write(f"{name} = {{}}")
    inner = s.block()
    item = one(inner, TEXT, over)
    s.write(f"for {item} in {over}:")
    value = f"{name}.get({item}, 0) + 1" if s.dice.chance(0.5) else f"len({item})"
    inner.write(f"{name}[{item}] = {value}")


def best(s: Scope) -> None:
    over = st.need(s, ROW)
    name = s.new(NUMBER)
    s.write(f"{name} = {over}[0]")
    inner = s.block()
    item = one(inner, NUMBER, over)
    s.write(f"for {item} in {over}:")
    inner.write(f"if {item} {s.dice.pick('<>')} {name}:")
    inner.block().write(f"{name} = {item}")


def passing(s: Scope) -> None:
    over = st.need(s, ROW)
    name = s.new(ROW)
    s.write(f"{name} = []")
    inner = s.block()
    item = one(inner, NUMBER, over)
    s.write(f"for {item} in {over}:")
    if s.dice.chance(0.6):
        inner.write(f"if {item} {s.dice.pick(e.ORDERS)} {e.literal(s)}:")
        inner = inner.block()
        inner.write(f"{name}.append({item})")
    else:
        inner.write(f"{name}.append({e.operation(s, item)})")


IDIOMS = (total, tally, best, passing)


def idiom(s: Scope) -> None:
    s.dice.pick(IDIOMS)(s)
