"""Templates: the text of a pair, with marks for names, sides and optional lines.

A template looks like the program that it makes:

    <n1> = <k1>
    +print('<w3>', <n1>)
    print(«"|'»<w1> <w2>^«")|')»↵^

`<n1>` is a word of kind n, the same at every occurrence. `«A|B»` is where the two
prompts differ. `§this|that§` is a random choice, the same for the whole pair. A line
that starts with `+` is used only in pairs with a distractor, one with `-` only in pairs
without. The prompt ends at the first `^`, the answer at the second; `↵` is a line end
inside an answer. A line `<fill1-3>` becomes one to three unrelated statements, indented
as it is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sparsetx.tasks.seeded_draws import Draw

FIELD = re.compile(r"<([a-z]+)(\d*)>")
SIDES = re.compile(r"«([^«»|]*)\|([^«»|]*)»")
COIN = re.compile(r"§([^§|]*)\|([^§|]*)§")
FILL = re.compile(r"^( *)<fill(\d)-(\d)>\n", re.MULTILINE)

Filler = Callable[[Draw, int], list[str]]


@dataclass(frozen=True)
class Side:
    """One prompt of a pair. `where`: the character at which the last difference is."""

    prompt: str
    answer: str
    rest: str
    where: int

    @property
    def program(self) -> str:
        return self.prompt + self.answer + self.rest


@dataclass(frozen=True)
class Draft:
    """A pair as text, before it is encoded."""

    a: Side
    b: Side
    template: int
    distractor: bool


def split_templates(text: str) -> tuple[str, ...]:
    """The templates of a text, separated by lines of three dashes."""
    return tuple(part.strip("\n") for part in text.strip("\n").split("\n---\n"))


def _lines(template: str, distractor: bool) -> str:
    """The template's lines for pairs with, or without, a distractor."""
    left_out = "-" if distractor else "+"
    kept = [line for line in template.split("\n") if not line.startswith(left_out)]
    return "\n".join(line[1:] if line[:1] in ("+", "-") else line for line in kept)


def _numbers(draw: Draw, low: int, high: int) -> str:
    count = draw.number(low, high)
    return ", ".join(str(draw.number(0, 99)) for _ in range(count))


def _value(draw: Draw, kind: str) -> str:
    match kind:
        case "k":
            return str(draw.number(2, 99))
        case "d":  # one digit: one token in any tokenizer
            return str(draw.number(2, 9))
        case "items":  # most rows are short, as they are in the corpus
            return _numbers(draw, 2, draw.pick((3, 5, 12)))
        case "row":
            return _numbers(draw, 1, 2)
        case "v":
            return draw.word("w")
        case "phrase":
            return " ".join(draw.word("w") for _ in range(draw.pick((2, 2, 3))))
        case "dict":
            words = [draw.word("w") for _ in range(draw.pick((1, 1, 2)))]
            return ", ".join(f'"{word}": {draw.number(2, 99)}' for word in words)
        case "list":
            return ", ".join(f'"{draw.word("w")}"' for _ in range(draw.pick((2, 2, 3))))
        case "const":
            return draw.pick(("True", "False", "None"))
    return draw.word(kind)


def _side(text: str, side: int) -> Side:
    text = text.replace("↵", "\n")
    prompt, answer, rest = SIDES.sub(lambda m: m[side + 1], text).split("^")
    head = text.split("^")[0]
    last = [match.start() for match in SIDES.finditer(head)][-1]
    where = len(SIDES.sub(lambda m: m[side + 1], head[:last]))
    return Side(prompt, answer, rest, where)


def fill(
    template: str, draw: Draw, filler: Filler, number: int, distractor: bool
) -> Draft:
    """One pair; every choice is made once, so that the prompts differ only in sides."""
    text = _lines(template, distractor)
    coin = draw.number(0, 1)
    text = COIN.sub(lambda m: m[coin + 1], text)
    values: dict[str, str] = {}

    def field(match: re.Match[str]) -> str:
        if match[0] not in values:
            values[match[0]] = _value(draw, match[1])
        return values[match[0]]

    def filling(match: re.Match[str]) -> str:
        lines = filler(draw, draw.number(int(match[2]), int(match[3])))
        return "".join(f"{match[1]}{line}\n" for line in lines)

    text = FIELD.sub(field, FILL.sub(filling, text))
    return Draft(_side(text, 0), _side(text, 1), number, distractor)
