"""Rates: counted per side, per 10 000 tokens."""

from collections import Counter
from itertools import islice

import pytest

from sparsetx.tasks.checks import rates
from sparsetx.tasks.table import TASKS, drafts
from sparsetx.tasks.task import SPLITS
from tests.tasks.conftest import trained
from tests.tasks.forms import form

LEAST = 5  # occurrences per 10 000 tokens, each side


class Characters:
    eot = 0

    def encode(self, text: str) -> list[int]:
        return list(range(1, len(text)))  # one fewer, as `<eot>` is counted apart


def test_rates_count_each_side_per_ten_thousand_tokens() -> None:
    texts = ['print("a b")\n' + "#" * 87, "print('a b')\n" * 2 + "#" * 74]
    tasks = [TASKS["single_double_quote"], TASKS["var_swap"]]
    assert rates(tasks, texts, Characters()) == {
        "single_double_quote": (50, 100),
        "var_swap": (0, 0),
    }


def test_no_text_has_no_rate() -> None:
    assert rates([TASKS["var_if"]], [], Characters()) == {"var_if": (0, 0)}


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("set_or_string", 'a = set()\nb = ""\nx = 1\na.add(x)\nb += x\n', (1, 1)),
        ("set_or_string", "a = set()\nb.add(1)\n", (0, 0)),
        ("var_swap", "a, b = b, a\n", (1, 1)),
        ("var_swap", "a, b = a, b\n", (0, 0)),
        ("indent_for", "for a in b:\n    c\n    for d in a:\n        e\n", (1, 1)),
        ("bracket_counting", "x = [1, 2]\ny = [[1], [2, 3]]\nz = [[1, 2]]\n", (1, 2)),
        ("final_kwarg", "def f(a=None, b=None):\n    1\ndef g(a, b):\n    1\n", (1, 1)),
        ("class_init", "self.a = a\n    self.b = b\n", (1, 1)),
        ("else_elif", "    elif x:\n    else:\n", (1, 1)),
        ("enumerate_range", "for i, x in enumerate(a):\nfor i in range(3):\n", (1, 1)),
    ],
)
def test_constructs(name: str, text: str, counts: tuple[int, int]) -> None:
    scale = 10_000 / len(text)
    a, b = rates([TASKS[name]], [text], Characters())[name]
    assert (round(a / scale), round(b / scale)) == counts


def test_the_corpus_holds_every_construct_often_enough(corpus) -> None:
    """By a small vocabulary, whose tokens are more: the harder case."""
    told = rates(TASKS.values(), corpus[:4000], trained(1024))
    assert {name: pair for name, pair in told.items() if min(pair) < LEAST} == {}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("    total = len('red fox') + 12", "n = len(S) + K"),
        ('self.wheel = ""', 'self.n = ""'),
        ('print(f"a {b}", [1, 2, 3], file.read())', "print(F, [K*], n.read())"),
        ('for key in ["a", "b"]:', "for n in [S*]:"),
    ],
)
def test_forms_leave_out_names_numbers_and_words(line: str, wanted: str) -> None:
    assert form(line) == wanted


@pytest.fixture(scope="module")
def forms(corpus) -> Counter[str]:
    return Counter(form(line) for text in corpus[:4000] for line in text.split("\n"))


@pytest.mark.parametrize("name", TASKS)
def test_prompts_are_made_of_lines_that_the_corpus_holds(name: str, forms) -> None:
    """Else a model is asked about programs unlike any that it was trained on."""
    for split in SPLITS:
        lines = [
            form(line)
            for draft in islice(drafts(TASKS[name], split, 0), 60)
            for side in (draft.a, draft.b)
            for line in side.prompt.split("\n")[:-1]
            if line
        ]
        strange = Counter(line for line in lines if forms[line] < 3)
        assert strange.total() <= 0.05 * len(lines), (split, strange.most_common(3))
