"""Templates: what each mark does."""

import pytest

from sparsetx.tasks.seeded_draws import Draw
from sparsetx.tasks.template import Draft, fill, split_templates

POOLS = {"n": ("total", "count", "size"), "w": ("red", "green", "blue", "open", "new")}


def made(template: str, distractor: bool = False, seed: str = "s") -> Draft:
    def lines(draw: Draw, count: int) -> list[str]:
        return [f"line {i}" for i in range(count)]

    return fill(template, Draw(seed, POOLS), lines, 4, distractor)


def test_sides_answer_and_rest() -> None:
    draft = made("""print(«"|'»ab^«")|')»↵^print(«1|2»)""")
    assert (draft.a.prompt, draft.a.answer, draft.a.rest) == (
        'print("ab',
        '")\n',
        "print(1)",
    )
    assert draft.b.program == "print('ab')\nprint(2)"
    assert draft.template == 4


def test_the_mark_points_at_the_last_side_of_the_prompt() -> None:
    draft = made("f(«10|2»)\nx = «[|[[»1^«]|]]»↵^")
    assert draft.a.prompt[draft.a.where :] == "[1"
    assert draft.b.prompt[draft.b.where :] == "[[1"


def test_a_field_is_the_same_wherever_it_stands() -> None:
    draft = made("<n1> = <k1>\n<n2> = <k1>\n«<n1>|<n2>»^«+|-»^ <n1>")
    first, second, last = draft.a.prompt.split("\n")
    assert first.split(" = ")[1] == second.split(" = ")[1]
    assert last == first.split(" = ")[0] == draft.a.rest.strip()
    assert draft.b.prompt.split("\n")[2] == second.split(" = ")[0] != last


def test_lines_for_pairs_with_a_distractor_and_without() -> None:
    text = "+with\n-without\nboth\n+    deep\n«a|b»^«1|2»^"
    assert made(text, True).a.prompt == "with\nboth\n    deep\na"
    assert made(text, False).a.prompt == "without\nboth\na"


def test_a_random_choice_is_made_once_for_a_pair() -> None:
    seen = {
        made("§x|y§ §x|y§ «a|b»^«§1|2§|3»^", seed=str(i)).a.program for i in range(20)
    }
    assert seen == {"x x a1", "y y a2"}


def test_filling_stands_at_its_own_depth_and_is_shared() -> None:
    counts = set()
    for i in range(40):
        draft = made("if x:\n    <fill1-3>\n    «a|b»^«1|2»^", seed=str(i))
        body = draft.a.prompt.split("\n")[1:-1]
        assert all(line == f"    line {j}" for j, line in enumerate(body))
        assert draft.b.prompt.split("\n")[1:-1] == body
        counts.add(len(body))
    assert counts == {1, 2, 3}


@pytest.mark.parametrize(
    ("field", "pattern"),
    [
        ("<items>", r"\d+(, \d+){1,11}"),
        ("<row>", r"\d+(, \d+)?"),
        ("<d1>", r"[2-9]"),
        ("<const>", r"True|False|None"),
        ("<phrase>", r"[a-z]+( [a-z]+){1,2}"),
        ("<dict>", r'"[a-z]+": \d+(, "[a-z]+": \d+)?'),
        ("<list>", r'"[a-z]+"(, "[a-z]+"){1,2}'),
        ("<v1>", "red|green|blue|open|new"),
    ],
)
def test_kinds_of_fields(field: str, pattern: str) -> None:
    import re

    for i in range(30):
        text = made(f"{field}«a|b»^«1|2»^", seed=str(i)).a.prompt[:-1]
        assert re.fullmatch(pattern, text), text


def test_blocks_are_divided_by_dashes() -> None:
    assert split_templates("\na\nb\n---\nc\n") == ("a\nb", "c")
