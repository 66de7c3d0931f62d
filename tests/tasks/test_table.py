"""Every task, every pool: programs that parse, and pairs that keep their contract."""

import ast
import hashlib
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

from sparsetx.system.errors import Refusal
from sparsetx.tasks.table import TASKS, drafts, find, task_pairs
from sparsetx.tasks.task import SPLITS
from sparsetx.tasks.template import FIELD
from tests.tasks.scopes import undefined

NAMES = list(TASKS)
# Pairs with a distractor hold exactly the same tokens: no bag of any kind can tell.
SAME_TOKENS = (
    "set_or_string",
    "set_or_string_fixedvarname",
    "final_kwarg",
    "fstring_brace",
    "var_swap",
    "enumerate_range",
)


# The last word itself is what differs.
WORD_DECIDES = ("else_elif", "with_open", "class_init", "var_swap", "enumerate_range")


def some(name: str, split: str, count: int):
    return list(itertools.islice(drafts(TASKS[name], split, seed=3), count))


def test_there_are_the_papers_twenty() -> None:
    assert len(TASKS) == 20
    assert all(task.name == name for name, task in TASKS.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_completion_is_a_program_without_undefined_names(name: str) -> None:
    for split in SPLITS:
        for draft in some(name, split, 40):
            for side in (draft.a, draft.b):
                assert ast.parse(side.program), side.program
                assert not undefined(side.program), side.program


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_hold_their_construct(name: str) -> None:
    pattern_a, pattern_b = (re.compile(p, re.M) for p in TASKS[name].construct)
    for split in SPLITS:
        for draft in some(name, split, 20):
            assert pattern_a.search(draft.a.program + "\n"), draft.a.program
            assert pattern_b.search(draft.b.program + "\n"), draft.b.program


@pytest.mark.parametrize("name", NAMES)
def test_pools_have_enough_templates_and_share_none(name: str) -> None:
    pools = TASKS[name].templates
    # Renumbering the fields must not make two templates out of one.
    bare = [{FIELD.sub(r"<\1>", text) for text in pools[split]} for split in SPLITS]
    assert all(len(pool) == len(pools[s]) for pool, s in zip(bare, SPLITS, strict=True))
    assert len(set.union(*bare)) == sum(map(len, bare))
    for split, least in zip(SPLITS, (5, 2, 3), strict=True):
        assert len(pools[split]) >= least


@pytest.mark.parametrize("name", NAMES)
def test_pools_hold_enough_distinct_pairs(name: str) -> None:
    for split, least in (("train", 2000), ("val", 500), ("test", 500)):
        made = some(name, split, least + least // 20)
        assert len({(d.a.prompt, d.b.prompt) for d in made}) >= least


@pytest.mark.parametrize("name", NAMES)
def test_prompts_differ_from_the_marked_place_on_and_not_in_their_last_words(
    name: str,
) -> None:
    for draft in some(name, "train", 20):
        a, b = draft.a, draft.b
        assert a.prompt[a.where :] != b.prompt[b.where :]
        assert 0 <= a.where < len(a.prompt)
        assert name in WORD_DECIDES or a.prompt[-1] == b.prompt[-1]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_keep_their_contract(name: str, tokenizer) -> None:
    pairs = task_pairs(name, tokenizer, "heldout", 40)
    task, rows = TASKS[name], pairs.tokens_BL
    assert rows.dtype == np.int32
    assert pairs.split == "test"
    assert rows.shape[0] == 2 * len(pairs) == 80
    for row, position, text in zip(rows, pairs.position_B, pairs.texts, strict=True):
        assert row[0] == tokenizer.eot
        assert row[1 : position + 1].tolist() == tokenizer.encode(text)
        assert (row[position + 1 :] == tokenizer.eot).all()
    for i, draft in enumerate(pairs.drafts):
        for side, row in ((draft.a, 2 * i), (draft.b, 2 * i + 1)):
            ids = rows[row, 1 : pairs.position_B[row] + 1].tolist()
            right = int(pairs.answers_B2[row, 0])
            if side.answer:
                assert tokenizer.decode([right]) == side.answer
                assert tokenizer.encode(side.program)[: len(ids) + 1] == [*ids, right]
    even, odd = pairs.answers_B2[0::2], pairs.answers_B2[1::2]
    assert (even == odd[:, ::-1]).all()
    assert (even[:, 0] == even[:, 1]).all() == task.one_token
    expected = [-1, 1] if task.one_token else [1, 1]
    assert pairs.sign_B.reshape(-1, 2).tolist() == [expected] * 40
    if task.aligned:
        assert (pairs.position_B[0::2] == pairs.position_B[1::2]).all()


@pytest.mark.parametrize("name", NAMES)
def test_at_least_half_carry_a_distractor_and_every_template_serves(
    name: str, tokenizer
) -> None:
    for split, templates in (("train", 5), ("val", 2), ("test", 3)):
        pairs = task_pairs(name, tokenizer, split, 31)
        assert pairs.distractor_P.sum() == 16
        assert set(pairs.template_P.tolist()) == set(range(templates))
        assert len({(d.a.prompt, d.b.prompt) for d in pairs.drafts}) == 31


@pytest.mark.parametrize("name", SAME_TOKENS)
def test_with_a_distractor_both_prompts_hold_the_same_tokens(
    name: str, tokenizer
) -> None:
    for split in SPLITS:
        pairs = task_pairs(name, tokenizer, split, 40)
        for i in np.flatnonzero(pairs.distractor_P):
            a, b = pairs.tokens_BL[2 * i], pairs.tokens_BL[2 * i + 1]
            assert sorted(a) == sorted(b), pairs.texts[2 * i]


def test_bracket_prompts_differ_in_length_by_one_token_at_most(tokenizer) -> None:
    pairs = task_pairs("bracket_counting", tokenizer, n=60)
    assert set(pairs.position_B[1::2] - pairs.position_B[0::2]) <= {0, 1}


def _digest() -> str:
    texts = [
        d.a.program + d.b.program for n in NAMES for s in SPLITS for d in some(n, s, 8)
    ]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def test_pairs_do_not_depend_on_the_hash_seed() -> None:
    program = "from tests.tasks.test_table import _digest; print(_digest())"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == _digest()


def test_pairs_are_a_function_of_the_seed(tokenizer) -> None:
    one, again, other = (
        task_pairs("for_while", tokenizer, "val", 8, seed) for seed in (1, 1, 2)
    )
    assert one.texts == again.texts
    assert not set(one.texts) & set(other.texts)


def test_a_context_keeps_the_long_prompts_out(tokenizer) -> None:
    pairs = task_pairs("with_as", tokenizer, "train", 100, context=40)
    assert pairs.tokens_BL.shape[1] <= 40


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(Refusal, match=r"did you mean .*bracket_counting"):
        find("bracket_count")
    with pytest.raises(Refusal, match="the tasks are: single_double_quote, "):
        find("zzz")


def test_bad_requests_are_refused(tokenizer) -> None:
    with pytest.raises(Refusal, match=r"wanted a pool .* got 'dev'"):
        task_pairs("var_if", tokenizer, "dev")
    with pytest.raises(Refusal, match="at least one pair of var_if, got n = 0"):
        task_pairs("var_if", tokenizer, n=0)
    with pytest.raises(Refusal, match="exceed the context of 8 tokens"):
        task_pairs("var_if", tokenizer, n=4, context=8)


class Letters:
    """A tokenizer that knows letters only: no task fits it."""

    eot = 0

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def test_a_tokenizer_that_cannot_say_the_answer_is_told_why() -> None:
    with pytest.raises(Refusal) as refusal:
        task_pairs("final_kwarg", Letters(), n=4)
    assert "found 0 with this tokenizer" in str(refusal.value)
    assert "the answer '):\\n' is not a single token" in str(refusal.value)
