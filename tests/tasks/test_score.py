"""Loss and accuracy of a task, against writing the definition out."""

import numpy as np
import pytest

from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.score import score

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (40, 11))
ANSWERS = RNG.integers(0, 11, (40, 2)).astype(np.int32)


def pairs(answers: np.ndarray, sign: np.ndarray, one_token: bool) -> Pairs:
    tokens, place = np.zeros((40, 3), np.int32), np.zeros(40, np.int32)
    return Pairs("x", "test", tokens, place, answers, sign, (), one_token)


def test_between_two_candidates() -> None:
    two = np.exp(np.take_along_axis(LOGITS, ANSWERS, 1))
    right = two[:, 0] / two.sum(1)
    found = score(pairs(ANSWERS, np.ones(40, np.float32), False), LOGITS)
    assert found.loss == pytest.approx(-np.log(right).mean())
    assert found.accuracy == (two[:, 0] > two[:, 1]).mean()


def test_one_token_against_all_others() -> None:
    sign = np.tile([1, -1], 20).astype(np.float32)
    answers = np.repeat(ANSWERS[:, :1], 2, 1)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    chosen = np.take_along_axis(p, answers[:, :1], 1)[:, 0]
    right = np.where(sign > 0, chosen, 1 - chosen)
    found = score(pairs(answers, sign, True), LOGITS)
    assert found.loss == pytest.approx(-np.log(right).mean())
    assert found.accuracy == (right > 0.5).mean()


def test_guessing_is_log_two() -> None:
    found = score(pairs(ANSWERS, np.ones(40, np.float32), False), np.zeros((40, 11)))
    assert found.loss == pytest.approx(np.log(2))
