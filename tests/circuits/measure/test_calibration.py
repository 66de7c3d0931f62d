"""Calibration: a scale, and a shift only where all pairs have the same answers."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.circuits.measure import calibration
from sparsetx.circuits.measure.calibration import Calibration
from sparsetx.circuits.measure.questions import Question
from tests.circuits import compiled

ASKED = compiled.question(64)


def loss(margin_B: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, -margin_B)))


def noisy(scale: float, shift: float, seed: int = 0) -> np.ndarray:
    """Margins whose best calibration is known to be near (scale, shift)."""
    rng = np.random.default_rng(seed)
    side_B = np.tile([1.0, -1.0], 64)
    true_B = rng.logistic(loc=1.5, size=128)
    return np.float32((true_B - side_B * shift) / scale)


def best_of_a_grid(margin_B: np.ndarray, side_B: np.ndarray) -> float:
    return min(
        smoothed(scale * margin_B + shift * side_B)
        for scale in np.geomspace(0.05, 20, 60)
        for shift in np.linspace(-4, 4, 81)
    )


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (4.0, 1.0), (0.2, -2.0)])
def test_the_best_scale_and_shift_are_found(scale: float, shift: float) -> None:
    margin_B = noisy(scale, shift)
    found = calibration.fit(ASKED, margin_B)
    after = smoothed(found.margins(ASKED, margin_B))
    assert after <= smoothed(margin_B) + 1e-6
    assert after <= best_of_a_grid(margin_B, np.tile([1.0, -1.0], 64)) + 1e-3
    assert found.shift is not None
    assert sum(found.shift.values()) == pytest.approx(
        0, abs=1e-6
    )  # half for each token


def test_answers_that_vary_get_a_scale_only() -> None:
    """A shift could then only favour the right answer, which would be cheating."""
    answers = np.array(ASKED.answers_B2)
    answers[:2] = [[7, 8], [8, 7]]
    varied = dataclasses.replace(ASKED, answers_B2=jnp.asarray(answers))
    found = calibration.fit(varied, noisy(2.0, 1.0))
    assert found.shift is None
    assert found.scale > 0


def test_margins_move_as_the_logits_do() -> None:
    """Calibrated logits and calibrated margins agree."""
    calibration = Calibration(2.0, {3: 0.5, 4: -0.25})
    logits_B2 = np.float32([[1.0, -1.0], [0.3, 0.4]] * 64)
    moved = 2.0 * logits_B2 + calibration.shifts(np.asarray(ASKED.answers_B2))
    margin_B = logits_B2[:, 0] - logits_B2[:, 1]
    np.testing.assert_allclose(
        calibration.margins(ASKED, margin_B), moved[:, 0] - moved[:, 1], rtol=1e-5
    )


def test_a_one_token_contrast_moves_its_odds() -> None:
    token = np.full_like(np.asarray(ASKED.answers_B2), 3)
    sign_B = np.float32(np.tile([-1.0, 1.0], 64))
    contrast = Question(
        ASKED.tokens_BL, ASKED.position_B, jnp.asarray(token), jnp.asarray(sign_B),
        jnp.float32(1),
    )  # fmt: skip
    margin_B = sign_B * np.float32(np.random.default_rng(0).normal(3.0, 1.0, 128))
    found = calibration.fit(contrast, margin_B)
    assert found.shift is not None
    assert set(found.shift) == {3}
    after = found.margins(contrast, margin_B)
    np.testing.assert_allclose(
        after, found.scale * margin_B + sign_B * found.shift[3], rtol=1e-5
    )
    assert smoothed(after) < smoothed(margin_B)


def smoothed(margin_B: np.ndarray) -> float:
    return calibration.smoothed_loss(margin_B)


def test_the_scale_is_bounded_where_every_answer_is_right() -> None:
    """So one wrong answer among a hundred other prompts costs little."""
    margin_B = np.float32(np.random.default_rng(0).uniform(0.5, 2.0, 128))
    found = calibration.fit(ASKED, margin_B)
    assert 1 < found.scale < 20
    fresh_B = np.append(margin_B[:99], np.float32(-1.0))
    asked = ASKED.rows(np.arange(100))
    assert loss(found.margins(asked, fresh_B)) < loss(fresh_B) + 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_second_pool_reduces_a_calibration_that_does_not_fit_it(seed: int) -> None:
    """Its loss is never above that without calibration."""
    rng = np.random.default_rng(seed)
    train_B = np.float32(rng.uniform(0.2, 0.5, 128))
    other_B = np.float32(rng.normal(0.3, 0.8, 128))
    alone = calibration.fit(ASKED, train_B)
    found = calibration.fit(ASKED, train_B, (ASKED, other_B))
    assert smoothed(found.margins(ASKED, other_B)) <= smoothed(other_B)
    assert found.scale < alone.scale
    agreed = calibration.fit(ASKED, train_B, (ASKED, train_B))
    assert agreed.scale == alone.scale


def test_margins_of_any_size_are_calibrated() -> None:
    for size in (0.0, 1e-6, 30.0, 1e4):
        margin_B = np.full(128, size, np.float32)
        found = calibration.fit(ASKED, margin_B)
        assert np.isfinite(found.scale)
        assert found.scale > 0
        assert np.isfinite(loss(found.margins(ASKED, margin_B)))
