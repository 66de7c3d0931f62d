"""Filler: statements around a task's question that have nothing to do with it.

Each pool has its own forms. They bind new names or read those bound before, and contain
no quotes, brackets, loops, branches or `+=`, which the tasks ask about.
"""

from sparsetx.tasks.seeded_draws import Draw
from sparsetx.tasks.template import Filler

# Forms that need no name, and forms that read a name bound by an earlier line.
FIRST = {
    "train": ("{new} = {k}", "{new} = -{k}"),
    "val": ("{new} = {k} * {j}",),
    "test": ("{new} = {k} + {j}", "{new} = {k} - {j}"),
}
LATER = {
    "train": (
        "{new} = {old}",
        "{new} = {old} + {k}",
        "{new} = max({old}, {k})",
        "print({old})",
    ),
    "val": ("{new} = {old} - {k}", "{new} = abs({old})", "print({old}, {k})"),
    "test": (
        "{new} = {old} * {k}",
        "{new} = min({old}, {k})",
        "print({old} + {k})",
    ),
}


def filler(split: str) -> Filler:
    """A function that makes `count` statements in the forms of one pool."""

    def lines(draw: Draw, count: int) -> list[str]:
        known: list[str] = []
        made = []
        for _ in range(count):
            form = draw.pick(FIRST[split] + LATER[split] * bool(known))
            new = draw.word("n") if "{new}" in form else ""
            old = draw.pick(known) if "{old}" in form else ""
            k, j = draw.number(2, 99), draw.number(2, 99)
            made.append(form.format(new=new, old=old, k=k, j=j))
            known += [new] if new else []
        return made

    return lines
