"""The table of words of a program, and the check for words that it does not know.

The table has one entry for each quantity that depends on the word alone: the words and
their values, and REST, the value of all other words, if several words share one. Where
not every word of the vocabulary is known, or not as the last one, the program refuses
unknown words: by an entry that lists all known ones anyway, else by a separate list.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

from sparsetx.circuits.program import python_text
from sparsetx.circuits.program.statements import Body, Column

WORDS, ENDS = "WORDS", "ENDS"
TOLD = """
    def told(what, where=words):
        says = SAYS[what]
        return np.array([says[w] if w in says else says[REST] for w in where])"""
LAST = """
    def last(what):
        return told(what, words[-1:])[0]"""
SOME = """    if not words:
        raise ValueError("wanted a prompt, at least one word")"""
KNOWN = """    known = {known}
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"words that the table does not know: {{unknown}}")"""
ENDED = """    known = {known}
    if words[-1] not in known:
        raise ValueError(f"no prompt of the table ends in {{words[-1]!r}}")"""


@dataclass(frozen=True)
class Lexicon:
    body: Body
    token: Callable[[int], str]

    @cached_property
    def scopes(self) -> dict[str, list[Hashable]]:
        folded = self.body.folded
        return {WORDS: folded.everywhere, ENDS: folded.at_the_end}

    @cached_property
    def usual(self) -> dict[str, str | None]:
        """{column: the most frequent value, as printed; None if no two are equal}"""
        found = {}
        for name, column in self.body.columns.items():
            ((value, count),) = Counter(self._said(column)).most_common(1)
            found[name] = value if count > 1 else None
        return found

    @cached_property
    def limits(self) -> dict[str, str | None]:
        """{WORDS or ENDS, if others are unknown: the column that lists them or None}"""
        folded, columns = self.body.folded, self.body.columns
        closed = {WORDS: not folded.vocabulary, ENDS: not folded.any_end}
        found: dict[str, str | None] = {}
        for name, words in self.scopes.items():
            own = {
                what: len(set(self._said(column)))
                for what, column in columns.items()
                if column.keys() == set(words)
            }
            best = max(own, key=lambda what: own[what], default=None)
            full = best is not None and 2 * own[best] >= len(words)
            alone = any(self.usual[what] is None for what in own)
            if columns and (closed[name] or alone):
                found[name] = best if full else None
        return found

    def lines(self) -> list[str]:
        """The table, and the lists of known words that are not in it."""
        if not self.body.columns:
            return []
        found = ["REST = None  # any other word", "SAYS = {"]
        for name, column in self.body.columns.items():
            found += python_text.entry(
                python_text.quoted(name), list(self._row(name, column))
            )
        found.append("}")
        for name, full in self.limits.items():
            if full is None:
                words = list(map(self._word, self.scopes[name]))
                found += python_text.listed(name, words, "{}")
        return found

    def _said(self, column: Column) -> list[str]:
        return list(map(self.body.digits.number, column.values()))

    def _row(self, name: str, column: Column) -> list[str]:
        usual = None if name in self.limits.values() else self.usual[name]
        order = sorted(column.items(), key=lambda row: -row[1])
        said = [(self._word(word), self.body.digits.number(x)) for word, x in order]
        own = [f"{word}: {x}" for word, x in said if x != usual]
        return own if usual is None else [*own, f"REST: {usual}"]

    def functions(self, statements: str) -> list[str]:
        """The start of a program: checks of the prompt, and the look-up functions."""
        found = [SOME]
        for name, column in self.limits.items():
            known = name
            if column is not None:
                known = f"SAYS[{python_text.quoted(column)}]  # where all of them stand"
            found.append({WORDS: KNOWN, ENDS: ENDED}[name].format(known=known))
        found += [TOLD] if self.body.columns else []
        return found + ([LAST] if "last(" in statements else [])

    def _word(self, word: Hashable) -> str:
        if isinstance(word, tuple):
            place, here = word
            return f"({place}, {python_text.quoted(self.token(here))})"
        return python_text.quoted(self.token(word))  # type: ignore[arg-type]
