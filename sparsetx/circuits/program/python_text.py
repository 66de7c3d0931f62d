"""Format Python source: names, sums, numbers, tables, lines of 88 columns."""

import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sparsetx import nodes
from sparsetx.nodes import Node

WIDE = 88
GLUE, INSIDE = "\x1f", "\x1e"  # spaces where no line breaks; INSIDE: in a string
STRING = r'"(?:\\.|[^"\\])*"' + "|" + r"'(?:\\.|[^'\\])*'"
Terms = list[tuple[float, str]]


@dataclass(frozen=True)
class Digits:
    """How numbers are written: with at most this many significant digits."""

    most: int

    def number(self, x: float) -> str:
        if abs(x) == float("inf"):
            return "np.inf" if x > 0 else "-np.inf"
        text = f"{x:.{self.most}g}"
        return text if re.search(r"[.en]", text) else text + ".0"

    def total(self, terms: Terms, constant: float = 0.0) -> str:
        """A weighted sum, such as `2.0 * a - b + 0.5`."""
        parts = []
        for weight, name in terms:
            if not weight:
                continue
            size = self.number(abs(weight))
            factor = "" if size == "1.0" else f"{size} * "
            parts.append(("-" if weight < 0 else "+", factor + name))
        if constant or not parts:
            parts.append(("-" if constant < 0 else "+", self.number(abs(constant))))
        first, *others = parts
        text = ("-" if first[0] == "-" else "") + first[1]
        return text + "".join(f" {sign} {part}" for sign, part in others)


def quoted(text: str) -> str:
    """A Python string literal, in double quotes unless the text has quotes itself."""
    plain = repr(text)
    return plain if {"'", '"'} & {*text} else f'"{plain[1:-1]}"'


def names(kept: Iterable[Node], titles: Mapping[Node, str]) -> dict[Node, str]:
    """A variable name for each node: its title and kind, as in `quote_detector_key`;
    where that is not unique, with its channel, or its layer and channel."""
    kept = list(kept)
    plain = {
        node: _slug(f"{titles.get(node, '')} {nodes.KINDS[node.site]}") for node in kept
    }
    by_channel = {node: f"{plain[node]}_{node.index}" for node in kept}
    whole = {
        node: f"{plain[node]}_{node.site}_{node.layer}_{node.index}" for node in kept
    }
    found = {}
    for node in kept:
        for choice in (plain, by_channel, whole):
            found[node] = choice[node]
            bare = choice is plain and not titles.get(node)
            if list(choice.values()).count(choice[node]) == 1 and not bare:
                break
    return found


def _slug(text: str) -> str:
    slug = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_")
    return f"{slug}_" if keyword.iskeyword(slug) else slug


def statement(name: str, value: str, indent: str = "    ") -> list[str]:
    """`name = value`, in as many lines as needed."""
    line = f"{indent}{name} = {value}"
    if len(line) <= WIDE:
        return [line]
    inner, call = indent + "    ", _call(value)
    value = value[len(call) + 1 : -1] if call else value
    # Lines break before a sign, never within a string. In a call they break after a
    # comma, unless an argument is too long for that.
    glued = re.sub(STRING, lambda found: found[0].replace(" ", INSIDE), value)
    if call and max(map(len, glued.split(", "))) <= WIDE // 2:
        glued = glued.replace(" ", GLUE).replace(f",{GLUE}", ", ")
    glued = re.sub(r" ([*/@]) ", rf"{GLUE}\1{GLUE}", glued)
    glued = re.sub(r"([-+:]) ", rf"\1{GLUE}", glued)
    body = textwrap.wrap(
        glued, WIDE - len(inner), break_long_words=False, break_on_hyphens=False
    )
    parts = [inner + part.replace(GLUE, " ").replace(INSIDE, " ") for part in body]
    return [f"{indent}{name} = {call}(", *parts, f"{indent})"]


def _call(value: str) -> str:
    """The name of the function, where the whole value is one call."""
    name, bracket, rest = value.partition("(")
    depth, plain = 1, re.sub(STRING, "", rest)
    for i, char in enumerate(plain):
        depth += (char == "(") - (char == ")")
        if not depth:
            return (
                name if bracket and name.isidentifier() and i + 1 == len(plain) else ""
            )
    return ""


def comment(text: str, indent: str = "    ") -> list[str]:
    wide = WIDE - len(indent) - 2
    return [f"{indent}# {part}" for part in textwrap.wrap(text, wide)]


def paragraph(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDE, break_on_hyphens=False))


def listed(name: str, items: Sequence[str], brackets: str = "[]") -> list[str]:
    """`name = [items]`, in as few lines as fit."""
    left, right = brackets[0], brackets[1]
    line = f"{name} = {left}{', '.join(items)}{right}"
    if len(line) <= WIDE:
        return [line]
    return [f"{name} = {left}", *_packed(items, "    "), right]


def entry(key: str, items: Sequence[str]) -> list[str]:
    """A row of a table of tables."""
    line = f"    {key}: {{{', '.join(items)}}},"
    if len(line) <= WIDE:
        return [line]
    return [f"    {key}: {{", *_packed(items, "        "), "    },"]


def _packed(items: Sequence[str], indent: str) -> list[str]:
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= WIDE:
            lines[-1] += f" {item},"
        else:
            lines.append(f"{indent}{item},")
    return lines
