"""tinypython: programs that parse, bind before they read, and hold every construct."""

import ast
import itertools
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.data import words
from sparsetx.data.grammar.chances import Dice, Table
from sparsetx.data.grammar.document import LONGEST, SHORTEST, document
from sparsetx.data.grammar.scope import NUMBER, ROW, SEEN, Scope, Style
from sparsetx.tasks.table import TASKS
from tests.data.binding import unbound
from tests.tasks.conftest import documents, trained

COUNT = 4000
AT_LEAST = 5  # of every construct, per 10 000 tokens


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return documents()[:COUNT]


@pytest.fixture(scope="module")
def text(corpus: list[str]) -> str:
    return "".join(corpus)


@pytest.fixture(scope="module")
def tokens(corpus: list[str]) -> int:
    """The number of tokens of the corpus, with the default vocabulary."""
    return sum(map(len, trained().encode_batch(corpus)))


def test_every_document_parses(corpus: list[str]) -> None:
    for one in corpus:
        ast.parse(one)


def test_only_what_is_bound_is_read(corpus: list[str]) -> None:
    for one in corpus[:1500]:
        assert unbound(one) == set(), one


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("print(a)\na = 1", {"a"}),
        ("if 1:\n    a = 1\nprint(a)", {"a"}),
        ("def f(a, b=a):\n    return c\nc = 1", {"a", "c"}),
        ("def f(a):\n    def g():\n        return a + b\n    b = 1", {"b"}),
        ("for i, x in []:\n    print(i, x)\nprint(i)", {"i"}),
        ("class A:\n    b = 1\n\n    def f(self):\n        return b", {"b"}),
        ("with open('a') as f:\n    f.read()\nx = lambda v: v + w", {"w"}),
        ("a += 1", {"a"}),
        ("def f():\n    return g()\n\ndef g():\n    return 1", {"g"}),
        ("a, b = 1, 2\na, b = b, a\nprint(a, b, sum([a]))", set()),
    ],
)
def test_an_unbound_name_is_found(program: str, names: set[str]) -> None:
    assert unbound(program) == names


def test_what_leaves_stands_where_it_may(corpus: list[str]) -> None:
    """`compile` refuses a return outside a function and a break outside a loop."""
    for one in corpus[:1500]:
        compile(one, "document", "exec")


def test_nothing_follows_what_leaves(corpus: list[str]) -> None:
    for one in corpus[:1500]:
        for node in ast.walk(ast.parse(one)):
            for field in ("body", "orelse"):
                lines = getattr(node, field, None)
                for line in lines[:-1] if isinstance(lines, list) else []:
                    assert not isinstance(line, ast.Return | ast.Break | ast.Continue)


def test_lengths_vary(corpus: list[str]) -> None:
    lengths = sorted(map(len, corpus))
    assert lengths[0] >= SHORTEST
    assert lengths[-1] <= LONGEST
    assert lengths[COUNT // 10] < 200 < 400 < lengths[COUNT // 2] + 60
    assert lengths[COUNT * 9 // 10] > 800


def test_hardly_any_two_are_equal(corpus: list[str]) -> None:
    assert len(set(corpus)) > 0.999 * COUNT


def test_layout_is_a_programmers(text: str) -> None:
    assert not re.search(r"[ \t]\n", text)
    assert "\n\n\n\n" not in text
    assert all(len(line) < 130 for line in text.split("\n"))
    assert not re.search(r"^ *(\w+) = \1$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(?:if|elif) (\w+) (?:and|or) \1\b",
        r" = \S+ if (\w+) else \1\n",
        r"\{(\w+)\}[^\"'\n]*\{\1\}",
        r"^ *(\w+), \1 = ",
    ],
)
def test_nothing_is_asked_or_said_twice(pattern: str, text: str) -> None:
    assert not re.search(pattern, text, re.MULTILINE)


@pytest.mark.parametrize("name", TASKS)
def test_every_construct_is_common(name: str, text: str, tokens: int) -> None:
    for pattern in TASKS[name].construct:
        found = len(re.findall(pattern, text, re.MULTILINE))
        assert 1e4 * found / tokens >= AT_LEAST, pattern


def count(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.MULTILINE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r'print\("', r"print\('"),
        (r" = set\(\)\n", r" = (\"\"|'')\n"),
        (r"\bopen\(.[a-z]+\.[a-z]+., .r.\)", r"\bopen\(.[a-z]+\.[a-z]+., .w.\)"),
        (r" = \{[\"']", r" = \[[\"']"),
        (r"\bwith open\(", r" = open\("),
        (r"^ +\w+ = lambda \w+:", r"^ +def \w+\(\):"),
        (r"\bfor \w+, \w+ in enumerate\(", r"\bfor \w+ in range\("),
        (r"^ *for \w+ in \w+:", r"^ *while \w+:"),
        (r"^ *while \w+:", r"^ *if \w+:"),
    ],
)
def test_both_sides_of_a_pair_are_about_as_common(
    one: str, other: str, text: str
) -> None:
    assert 0.4 < count(one, text) / count(other, text) < 2.5


def test_the_stem_decides_the_mode(text: str) -> None:
    opened = re.findall(r"open\(.([a-z]+)\.[a-z]+., .([a-z]).\)", text)
    for stem, mode in opened:
        stems = words.READ_STEMS if mode == "r" else words.WRITE_STEMS
        assert stem in stems
    assert {stem for stem, _ in opened} == {*words.READ_STEMS, *words.WRITE_STEMS}


def test_names_are_many_and_unequal(text: str) -> None:
    counts = Counter(re.findall(r"\w+", text))
    assert sum(counts[name] > 0 for name in words.NAMES) >= 350
    assert counts["x"] > 5 * counts["wallet"] > 0


def test_a_name_does_not_tell_what_it_holds(text: str) -> None:
    """Sets and texts have the same names."""
    sets = set(re.findall(r"^ *(\w+) = set\(\)", text, re.MULTILINE))
    texts = set(re.findall(r"^ *(\w+) = [\"']{2}$", text, re.MULTILINE))
    assert len(sets & texts) > 0.4 * len(sets | texts)


def test_distractors_stand_in_comments(text: str) -> None:
    for sign in ('"', "'", "[", "(", "{"):
        assert count(rf"^ *#.*{re.escape(sign)}", text) > 20


def test_the_same_under_another_hash_seed_and_order() -> None:
    """Golden: change it together with the grammar's VERSION."""
    program = (
        "from sparsetx.data.grammar.document import document\n"
        "import hashlib\n"
        "made = ''.join(document(3, i) for i in reversed(range(50)))\n"
        "print(hashlib.sha256(made.encode()).hexdigest()[:16])"
    )
    env = os.environ | {"PYTHONHASHSEED": "123"}
    made = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True
    )
    assert made.stdout.strip() == "3c4315e9add33055", made.stderr


def test_seeds_and_indices_give_other_documents() -> None:
    made = {document(seed, index) for seed in range(20) for index in range(20)}
    assert len(made) == 400


@given(st.integers(0, 2**40), st.integers(0, 2**50), st.integers(1, 1000))
def test_dice_stay_in_range(seed: int, index: int, n: int) -> None:
    dice = Dice(seed, index)
    assert 0 <= dice.below(n) < n
    assert -3 <= dice.between(-3, n) <= n
    assert dice.recent(range(n)) in range(n)
    assert sorted(dice.shuffled(range(n % 20))) == list(range(n % 20))


def test_tables_draw_by_weight() -> None:
    table = Table({"a": 3, "b": 1, "never": 0})
    dice = Dice(0, 0)
    drawn = [dice.draw(table) for _ in range(2000)]
    assert 0.7 < drawn.count("a") / 2000 < 0.8
    assert "never" not in drawn


def test_what_a_block_binds_is_forgotten() -> None:
    scope = Scope(Dice(0, 0), Style("", "\n"), [])
    scope.bind(NUMBER, "outer")
    inner = scope.block()
    inner.bind(ROW, "inside")
    assert inner.all(NUMBER) == scope.all(NUMBER) == ("outer",)
    assert scope.all(ROW) == ()
    assert scope.body().all(NUMBER) == ()


def test_a_new_name_is_not_in_use() -> None:
    scope = Scope(Dice(1, 1), Style("", "\n"), [])
    names = [
        scope.new(kind)
        for kind in itertools.islice(itertools.cycle((SEEN, NUMBER)), 200)
    ]
    assert len(set(names)) == 200


def test_drills_hold_more_of_what_is_learned_last() -> None:
    """Every third document is a drill; the others are those of plain tinypython."""
    drilled = [document(0, i, drills=True) for i in range(900)]
    plain = [document(0, i) for i in range(900)]
    for number, (one, other) in enumerate(zip(drilled, plain, strict=True)):
        if number % 3:
            assert one == other
        else:
            ast.parse(one)
            assert unbound(one) == set(), one
    for name in ("var_swap", "set_or_string", "with_open"):
        for construct in TASKS[name].construct:
            found = [len(re.findall(construct, "".join(x))) for x in (drilled, plain)]
            assert found[0] > 1.3 * found[1] > 0, (name, found)
