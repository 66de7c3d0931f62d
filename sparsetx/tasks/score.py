"""Task loss and accuracy, from a model's logits (paper, section 2.3).

The loss is the cross-entropy between the two candidates, or in a one-token contrast
between this token and any other. Guessing gives log 2 nats.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsetx.tasks.pairs import Pairs

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Score:
    """Of a set of pairs: mean loss in nats, and the fraction of right answers."""

    loss: float
    accuracy: float


def score(pairs: Pairs, logits_BV: Floats) -> Score:
    """`logits_BV`: the model's logits at each row's `position_B`."""
    logits_BV = np.asarray(logits_BV, np.float64)
    answers_B2 = np.take_along_axis(logits_BV, pairs.answers_B2, -1)
    if pairs.one_token:
        margin_B = pairs.sign_B * log_odds(logits_BV, answers_B2[:, 0])
    else:
        margin_B = answers_B2[:, 0] - answers_B2[:, 1]
    loss_B = np.logaddexp(0.0, -margin_B)
    return Score(float(np.mean(loss_B)), float(np.mean(margin_B > 0)))


def log_odds(logits_BV: Floats, chosen_B: Floats) -> Floats:
    """log p - log(1 - p) of one token against all others."""
    top_B1 = np.max(logits_BV, -1, keepdims=True)
    total_B = np.sum(np.exp(logits_BV - top_B1), -1)
    chosen_B = chosen_B - top_B1[:, 0]
    rest_B = np.maximum(total_B - np.exp(chosen_B), np.finfo(float).tiny)
    odds_B: Floats = chosen_B - np.log(rest_B)
    return odds_B
