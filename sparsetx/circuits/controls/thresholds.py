"""The names of the controls, and the thresholds of their verdicts with reasons.

They are the same for all circuits. A bar has two thresholds: up to the first a circuit
passes, up to the second it is weak, beyond that it fails. Losses are divided by the
target of the circuit's search.
"""

from typing import Literal, NamedTuple

Verdict = Literal["pass", "weak", "fail", "inconclusive", "none", "not run"]
PASS: Verdict = "pass"
WEAK: Verdict = "weak"
FAIL: Verdict = "fail"
INCONCLUSIVE: Verdict = "inconclusive"  # the control itself could not be set up
NONE: Verdict = "none"  # a figure without a threshold
NOT_RUN: Verdict = "not run"

RANDOM_WEIGHTS = "random_weights"
FROZEN_NORMS = "frozen_norms"
TEST_POOL = "test_pool"
STOCHASTIC = "stochastic"
NECESSITY = "necessity"
ABLATION_KINDS = "ablation_kinds"
NONSENSE = "nonsense"
INTERCHANGE = "interchange"
ROLES = "roles"
SEEDS = "seeds"
RELAXATION = "relaxation"
ADVERSARY = "adversary"
CURVE = "mib_curve"
NAMES = (  # the most informative first
    RANDOM_WEIGHTS, FROZEN_NORMS, TEST_POOL, STOCHASTIC, NECESSITY, ABLATION_KINDS,
    NONSENSE, INTERCHANGE, ROLES, SEEDS, RELAXATION, ADVERSARY, CURVE,
)  # fmt: skip
SEARCHING = (RANDOM_WEIGHTS, NONSENSE, SEEDS)  # minutes each: they repeat the search
QUICK = tuple(name for name in NAMES if name not in SEARCHING)


class Bar(NamedTuple):
    """Two thresholds of a figure; `low` if less is better."""

    passes: float
    weak: float
    low: bool
    why: str

    def verdict(self, figure: float) -> Verdict:
        """The verdict on a figure; NaN fails."""
        sign = 1 if self.low else -1
        if sign * figure <= sign * self.passes:
            return PASS
        return WEAK if sign * figure <= sign * self.weak else FAIL


LOSS = Bar(
    1, 2, True,
    "loss divided by the target: up to the target the circuit does the task; up to "
    "twice the target its answers are still mostly right",
)  # fmt: skip
SMALLER = Bar(
    1 / 3, 1, True,
    "edges+ divided by those of the smallest circuit for shuffled weights or arbitrary "
    "answers: three times smaller is more than searches differ by; at equal size the "
    "circuit shows nothing about the model",
)  # fmt: skip
RIGHT = Bar(
    0.95, 0.90, False,
    "fraction of right answers on pairs with distractors: a circuit that follows the "
    "nearest wrong algorithm is right on half of them",
)  # fmt: skip
COST = Bar(
    0.5, 0.25, False,
    "ablation cost of the circuit in the whole model, in nats: the loss of guessing "
    "between two answers is 0.69",
)  # fmt: skip
COST_RATIO = Bar(
    10, 3, False,
    "the same divided by the median cost of random other nodes, as many at each site "
    "and layer",
)  # fmt: skip
AT_ZERO = Bar(
    0.95, 0.75, False,
    "fraction of right answers under zero ablation; 0.75 is half way to guessing. The "
    "loss has no threshold: zero ablation also removes constants that only scale the "
    "circuit's margins. But its answers should not depend on them",
)  # fmt: skip
FLAT = Bar(
    1 / 3, 1, True,
    "how far the loss rises above that of the circuit and of the whole model, divided "
    "by the target: if both do the task, mixtures of them should do it too; a rise by "
    "the target is a second wrong answer for each that the target allows",
)  # fmt: skip
CORRELATION = Bar(
    0.9, 0.7, False,
    "median correlation of a node's activation in the circuit with that in the whole "
    "model: at 0.9 the latter explains 80% of the former's variance, at 0.7 half",
)  # fmt: skip
OPPOSITE = Bar(
    0.05, 0.10, True,
    "fraction of kept nodes with a negative correlation: they mean the opposite in the "
    "whole model",
)  # fmt: skip
MUTE = Bar(
    1 / 3, 1, True,
    "ablation cost of heads that keep a query or key but no value, divided by the "
    "target: they act by how much they attend, through values that are not counted",
)  # fmt: skip
REACHED = Bar(
    0.75, 0.5, False,
    "fraction of seeds that reach the target: with fewer, the circuit is luck",
)  # fmt: skip
ALIKE = Bar(
    0.5, 0.25, False,
    "median Jaccard index of the nodes of two circuits: at 0.5, circuits of equal size "
    "have two thirds of their nodes in common, at 0.25 two fifths",
)  # fmt: skip
DRIFT = Bar(
    0.25, 0.5, True,
    "largest |1 - f| from the circuit up to the whole model, f being the mean margin "
    "as a fraction of the whole model's: a circuit with half the margin, or larger "
    "ones with half as much again, do not do what the model does",
)  # fmt: skip
BARS = {
    "LOSS": LOSS, "SMALLER": SMALLER, "RIGHT": RIGHT, "COST": COST,
    "COST_RATIO": COST_RATIO, "AT_ZERO": AT_ZERO, "FLAT": FLAT,
    "CORRELATION": CORRELATION, "OPPOSITE": OPPOSITE, "MUTE": MUTE,
    "REACHED": REACHED, "ALIKE": ALIKE, "DRIFT": DRIFT,
}  # fmt: skip


def worst(*verdicts: Verdict) -> Verdict:
    order = (PASS, NONE, INCONCLUSIVE, WEAK, FAIL)
    return max(verdicts, key=order.index)
