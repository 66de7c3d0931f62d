"""The task's loss, compared with one from probabilities; pools as arrays."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.circuits.measure import questions
from sparsetx.circuits.measure.questions import Question

TOKENS = np.array([[0, 3, 4, 0, 0], [0, 3, 5, 0, 0], [0, 2, 2, 2, 0], [0, 1, 2, 2, 0]])
PLACES = np.array([2, 2, 3, 3])
ANSWERS = np.array([[6, 7], [7, 6], [6, 7], [7, 6]])
LOGITS = np.random.default_rng(0).normal(0, 3, (4, 9)).astype(np.float32)


def asked(answers: np.ndarray, sign: list[float], one_token: bool) -> Question:
    pool = types.SimpleNamespace(
        tokens_BL=TOKENS,
        position_B=PLACES,
        answers_B2=answers,
        sign_B=np.array(sign, np.float32),
        one_token=one_token,
    )
    return questions.of(pool)  # type: ignore[arg-type]


def test_the_loss_between_two_candidates_is_their_cross_entropy() -> None:
    found = questions.margin_of(asked(ANSWERS, [1] * 4, False), jnp.asarray(LOGITS))
    two_B2 = np.take_along_axis(LOGITS, ANSWERS, 1)
    wanted = -np.asarray(jax.nn.log_softmax(two_B2))[:, 0]
    np.testing.assert_allclose(questions.loss_of(found), wanted.mean(), rtol=1e-5)


def test_the_loss_of_a_one_token_contrast_is_against_all_others() -> None:
    """-log p(t) where the token is right, -log(1 - p(t)) where it is wrong."""
    sign = [-1, 1, -1, 1]
    pool = asked(np.full((4, 2), 6), sign, True)
    found = questions.margin_of(pool, jnp.asarray(LOGITS))
    p = np.asarray(jax.nn.softmax(LOGITS.astype(np.float64)))[:, 6]
    wanted = -np.log(np.where(np.array(sign) > 0, p, 1 - p))
    np.testing.assert_allclose(questions.loss_of(found), wanted.mean(), rtol=1e-4)


def test_the_loss_of_guessing_is_log_two_and_of_certainty_zero() -> None:
    assert float(questions.loss_of(jnp.zeros(4))) == pytest.approx(np.log(2))
    assert float(questions.loss_of(jnp.full(4, 100.0))) == 0
    assert float(questions.loss_of(jnp.full(4, -100.0))) == pytest.approx(100)


def test_a_pool_is_as_long_as_its_longest_prompt_or_padded() -> None:
    pool = types.SimpleNamespace(
        tokens_BL=TOKENS, position_B=PLACES, answers_B2=ANSWERS,
        sign_B=np.ones(4, np.float32), one_token=False,
    )  # fmt: skip
    assert questions.of(pool).tokens_BL.shape == (4, 4)  # type: ignore[arg-type]
    assert questions.of(pool, 5).tokens_BL.shape == (4, 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompts of 4 tokens do not fit 3"):
        questions.of(pool, 3)  # type: ignore[arg-type]


def test_rows_can_be_chosen() -> None:
    pool = asked(ANSWERS, [1, -1, 1, -1], True)
    part = jax.jit(lambda rows: pool.rows(rows))(jnp.array([3, 0]))
    assert (len(pool), len(part)) == (4, 2)
    np.testing.assert_array_equal(part.tokens_BL, np.asarray(pool.tokens_BL)[[3, 0]])
    np.testing.assert_array_equal(part.position_B, [3, 2])
    np.testing.assert_array_equal(part.answers_B2, ANSWERS[[3, 0]])
    np.testing.assert_array_equal(part.sign_B, [-1, 1])
    assert float(part.open) == 1
