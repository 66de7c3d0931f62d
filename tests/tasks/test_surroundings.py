"""Filler: it parses, reads only names that it bound, each pool has its own forms."""

import ast

import pytest

from sparsetx.tasks.pool_words import words_for
from sparsetx.tasks.seeded_draws import Draw
from sparsetx.tasks.surroundings import FIRST, LATER, filler
from sparsetx.tasks.task import SPLITS
from tests.tasks.scopes import undefined


@pytest.mark.parametrize("split", SPLITS)
def test_filling_is_self_contained(split: str) -> None:
    for seed in range(40):
        lines = filler(split)(Draw(str(seed), words_for(split)), 5)
        assert len(lines) == 5
        assert not undefined("\n".join(lines))


@pytest.mark.parametrize("split", SPLITS)
def test_filling_holds_nothing_that_a_task_asks_about(split: str) -> None:
    text = "\n".join(FIRST[split] + LATER[split])
    assert not set("\"'[]:") & set(text)
    assert "+=" not in text
    kinds = {
        type(node)
        for node in ast.walk(ast.parse(text.replace("{", "").replace("}", "")))
    }
    assert not kinds & {ast.For, ast.While, ast.If, ast.IfExp, ast.Compare, ast.Lambda}


def test_pools_share_no_form() -> None:
    forms = [form for split in SPLITS for form in FIRST[split] + LATER[split]]
    assert len(forms) == len(set(forms))


def test_the_helper_that_finds_undefined_names_does_find_them() -> None:
    assert undefined("x = y\ny = 1") == {"y"}
    assert undefined("x += 1") == {"x"}
    assert undefined("def f(a):\n    return a + b") == {"b"}
    assert undefined("f = lambda v: v + w") == {"w"}
    assert undefined("for i in rows:\n    print(i)") == {"rows"}
    assert undefined("x, y = 1, 2\nx, y = y, x\nwith open(x) as f:\n    f") == set()
