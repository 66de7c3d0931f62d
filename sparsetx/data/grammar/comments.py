"""Comments and docstrings. Some hold quotes and brackets that are not syntax."""

from sparsetx.data.grammar.chances import Table
from sparsetx.data.grammar.expressions import literal, phrase
from sparsetx.data.grammar.scope import PLURAL, SINGLE, VERB, Scope

FORMS = Table(
    {
        "{verb} the {many}": 10,
        "{phrase}": 6,
        "the {one} of the {many}": 4,
        "{verb} every {one}": 4,
        "don't {verb} the {one} yet": 2,
        "it's the {phrase} {one}": 2,
        'no "{phrase}" here': 2,
        "the '{phrase}' {one}": 2,
        "the {many} are in [{k}, {j})": 2,
        "rows of [{k}, {j}]": 2,
        "like [[{k}], [{j}]]": 1,
        'a dict, {{"{phrase}": {k}}}': 1,
        "from {k} (or {j}) up": 2,
    }
)


def remark(s: Scope) -> str:
    dice = s.dice
    return dice.draw(FORMS).format(
        verb=dice.draw(VERB),
        many=dice.draw(PLURAL),
        one=dice.draw(SINGLE),
        phrase=phrase(s, 1, 2),
        k=literal(s),
        j=literal(s),
    )


def comment(s: Scope) -> None:
    s.write("# " + remark(s))


def docstring(s: Scope) -> None:
    dice = s.dice
    verb = dice.draw(VERB).capitalize()
    thing = dice.draw(PLURAL if dice.chance(0.5) else SINGLE).replace("_", " ")
    s.write(f'"""{verb} the {thing}."""')
