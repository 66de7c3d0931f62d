"""Three classifiers that ignore the program's structure are near chance on tasks.

`sparsetx tasks --check --tokenizer FILE` prints the same figures from larger pools.
"""

import numpy as np
import pytest

from sparsetx.tasks import checks
from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.table import TASKS, task_pairs

# In these the two last tokens are the construct itself, and its only names are three
# constants: those two tokens decide the answer, and may.
ENDS_DECIDE = ("else_elif", "var_if", "while_return_true")
BALANCED = (
    "single_double_quote",
    "bracket_counting",
    "set_or_string",
    "set_or_string_fixedvarname",
    "final_kwarg",
    "bracket_brace",
    "fstring_brace",
    "var_swap",
    "enumerate_range",
)


@pytest.mark.parametrize("name", list(TASKS))
def test_shortcuts_are_at_chance_on_another_pool(name: str, tokenizer) -> None:
    train = task_pairs(name, tokenizer, "train", 400)
    test = task_pairs(name, tokenizer, "test", 200)
    if name != "else_elif":
        assert 0.45 <= checks.bigram(train, test).mean() <= 0.55
    if name not in ENDS_DECIDE:
        assert 0.45 <= checks.ends(train, test).mean() <= 0.55
    if name in BALANCED:
        hard = test.distractor_P.repeat(2)
        for presence in (False, True):
            assert checks.bag(train, test, presence)[hard].mean() <= 0.6


def toy(prompts: list[list[int]], answers: list[tuple[int, int]], **more) -> Pairs:
    width = max(map(len, prompts))
    rows = [ids + [0] * (width - len(ids)) for ids in prompts]
    return Pairs(
        task="toy",
        split="test",
        tokens_BL=np.array(rows, np.int32),
        position_B=np.array([len(ids) - 1 for ids in prompts], np.int32),
        answers_B2=np.array(answers, np.int32),
        sign_B=more.pop("sign", np.ones(len(prompts), np.float32)),
        drafts=(),
        **more,
    )


LEFT, RIGHT = (8, 9), (9, 8)


def test_a_bigram_that_decides_is_found() -> None:
    pairs = toy([[0, 5, 1], [0, 5, 2]] * 3, [LEFT, RIGHT] * 3)
    assert checks.bigram(pairs, pairs).tolist() == [1] * 6
    swapped = toy([[0, 5, 1], [0, 5, 2]], [RIGHT, LEFT])
    assert checks.bigram(pairs, swapped).tolist() == [0, 0]
    unseen = toy([[0, 5, 7]], [LEFT])
    assert checks.bigram(pairs, unseen).tolist() == [0.5]


def test_a_length_that_decides_is_found_behind_new_words() -> None:
    pairs = toy([[0, 1, 1, 1], [0, 1, 1]] * 3, [LEFT, RIGHT] * 3)
    unseen = toy([[0, 4, 5, 6], [0, 4, 5]], [LEFT, RIGHT])
    assert checks.ends(pairs, unseen).tolist() == [1, 1]
    assert checks.bigram(pairs, unseen).tolist() == [0.5, 0.5]


def test_a_bag_that_decides_is_found_and_an_equal_one_is_not() -> None:
    pairs = toy([[0, 1, 5, 5], [0, 2, 5, 5]] * 4, [LEFT, RIGHT] * 4)
    assert checks.bag(pairs, pairs).tolist() == [1] * 8
    both = toy([[0, 1, 2, 5], [0, 2, 1, 5]] * 4, [LEFT, RIGHT] * 4)
    assert checks.bag(both, both).tolist() == [0.5] * 8


def test_a_count_tells_what_presence_does_not() -> None:
    pairs = toy([[0, 1, 1, 2], [0, 1, 2, 2]] * 4, [LEFT, RIGHT] * 4)
    assert checks.bag(pairs, pairs).mean() == 1
    assert checks.bag(pairs, pairs, presence=True).mean() == 0.5


def test_answers_that_stand_in_the_prompt_are_counted_themselves() -> None:
    pairs = toy([[0, 3, 3, 4], [0, 4, 4, 3]] * 4, [(3, 4), (4, 3)] * 4)
    unseen = toy([[0, 6, 6, 7], [0, 7, 7, 6]], [(6, 7), (7, 6)])
    assert checks.bag(pairs, unseen).tolist() == [1, 1]


def test_a_one_token_contrast_is_judged_by_its_sign() -> None:
    pairs = toy(
        [[0, 1], [0, 2]] * 3,
        [(8, 8)] * 6,
        sign=np.array([-1, 1] * 3, np.float32),
        one_token=True,
    )
    assert checks.bigram(pairs, pairs).tolist() == [1] * 6
