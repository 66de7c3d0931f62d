"""Calibration: a scale, and a shift only where it belongs to tokens."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.circuits import calibrate
from sparsetx.circuits.calibrate import Calibration
from sparsetx.circuits.question import Question
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
        loss(scale * margin_B + shift * side_B)
        for scale in np.geomspace(0.05, 20, 60)
        for shift in np.linspace(-4, 4, 81)
    )


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (4.0, 1.0), (0.2, -2.0)])
def test_the_best_scale_and_shift_are_found(scale: float, shift: float) -> None:
    margin_B = noisy(scale, shift)
    found = calibrate.fit(ASKED, margin_B)
    after = loss(found.margins(ASKED, margin_B))
    assert after <= loss(margin_B) + 1e-6
    assert after <= best_of_a_grid(margin_B, np.tile([1.0, -1.0], 64)) + 1e-3
    assert found.shift is not None
    assert sum(found.shift.values()) == pytest.approx(0, abs=1e-6)  # tokens part evenly


def test_answers_that_vary_get_a_scale_only() -> None:
    """A shift would then belong to a role, right or wrong: cheating."""
    answers = np.array(ASKED.answers_B2)
    answers[:2] = [[7, 8], [8, 7]]
    varied = dataclasses.replace(ASKED, answers_B2=jnp.asarray(answers))
    found = calibrate.fit(varied, noisy(2.0, 1.0))
    assert found.shift is None
    assert found.scale > 0


def test_margins_move_as_the_logits_do() -> None:
    """answer_logits and margins say the same of any row."""
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
    found = calibrate.fit(contrast, margin_B)
    assert found.shift is not None
    assert set(found.shift) == {3}
    after = found.margins(contrast, margin_B)
    np.testing.assert_allclose(
        after, found.scale * margin_B + sign_B * found.shift[3], rtol=1e-5
    )
    assert loss(after) < loss(margin_B)


def test_a_perfect_circuit_does_not_break_it() -> None:
    found = calibrate.fit(ASKED, np.full(128, 30.0, np.float32))
    assert np.isfinite(found.scale)
    assert loss(found.margins(ASKED, np.full(128, 30.0, np.float32))) < 1e-6
