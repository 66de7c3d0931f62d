"""What words say, as the table of a program; and which words the program knows.

The table stands by column: for each thing that is asked of words, the words that say
something of their own, and what all others say. Where a program does not know all words
of the vocabulary, or not as the last one, it tells so: by a column in which most of
them stand anyway, else by a list.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

from sparsetx.circuits import prose
from sparsetx.circuits.statements import Body, Column

WORDS, ENDS = "WORDS", "ENDS"
TOLD = """
    def told(what, where=words):
        says = SAYS[what]
        return np.array([says[w] if w in says else says[REST] for w in where])"""
LAST = """
    def last(what):
        return told(what, words[-1:])[0]"""
KNOWN = """    unknown = [word for word in words if word not in {known}]
    if unknown:
        raise ValueError(f"words that the table does not know: {{unknown}}")"""
ENDED = """    if words[-1] not in {known}:
        raise ValueError(f"no prompt of the table ends in {{words[-1]!r}}")"""


@dataclass(frozen=True)
class Lexicon:
    body: Body
    token: Callable[[int], str]

    @cached_property
    def limits(self) -> dict[str, list[Hashable]]:
        """{name: words}, where a program does not know others."""
        folded = self.body.folded
        found = {}
        if self.body.columns and not folded.vocabulary:
            found[WORDS] = folded.everywhere
        if self.body.columns and not folded.any_end:
            found[ENDS] = folded.at_the_end
        return found

    @cached_property
    def full(self) -> dict[str, str]:
        """{name: a column in which most of those words stand anyway}."""
        found = {}
        for name, words in self.limits.items():
            own = {
                what: len(set(column.values()))
                for what, column in self.body.columns.items()
                if column.keys() == set(words)
            }
            best = max(own, key=lambda what: own[what], default=None)
            if best is not None and 2 * own[best] >= len(words):
                found[name] = best
        return found

    def lines(self) -> list[str]:
        """The table, and the lists that it does not hold."""
        if not self.body.columns:
            return []
        found = ["REST = None  # any other word", "SAYS = {"]
        for name, column in self.body.columns.items():
            found += prose.entry(prose.quoted(name), list(self._row(name, column)))
        found.append("}")
        for name, words in self.limits.items():
            if name not in self.full:
                found += prose.listed(name, list(map(self._word, words)), "{}")
        return found

    def _row(self, name: str, column: Column) -> list[str]:
        usual = Counter(column.values()).most_common(1)[0][0]
        whole = name in self.full.values()
        own = {w: x for w, x in column.items() if whole or x != usual}
        order = sorted(own.items(), key=lambda row: -row[1])
        number = self.body.digits.number
        said = [f"{self._word(word)}: {number(x)}" for word, x in order]
        return said if whole else [*said, f"REST: {number(usual)}"]

    def functions(self, statements: str) -> list[str]:
        """The start of a program: what it refuses, and how it asks the table."""
        checks = {WORDS: KNOWN, ENDS: ENDED}
        found = []
        for name in self.limits:
            column = self.full.get(name)
            known = f"SAYS[{prose.quoted(column)}]" if column else name
            found.append(checks[name].format(known=known))
        found += [TOLD] if self.body.columns else []
        return found + ([LAST] if "last(" in statements else [])

    def _word(self, word: Hashable) -> str:
        if isinstance(word, tuple):
            place, here = word
            return f"({place}, {prose.quoted(self.token(here))})"
        return prose.quoted(self.token(word))  # type: ignore[arg-type]
