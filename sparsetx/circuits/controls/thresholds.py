"""The controls by name, and every threshold with its reason, for all circuits alike.

A bar has two marks: up to the first a circuit passes, up to the second it is weak,
beyond it fails. Losses are in units of the target at which the circuit was cut.
"""

from typing import Literal, NamedTuple

Verdict = Literal["pass", "weak", "fail", "inconclusive", "none", "not run"]
PASS: Verdict = "pass"
WEAK: Verdict = "weak"
FAIL: Verdict = "fail"
INCONCLUSIVE: Verdict = "inconclusive"  # the control itself could not be set up
NONE: Verdict = "none"  # a figure without a bar
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
NAMES = (  # the most telling first
    RANDOM_WEIGHTS, FROZEN_NORMS, TEST_POOL, STOCHASTIC, NECESSITY, ABLATION_KINDS,
    NONSENSE, INTERCHANGE, ROLES, SEEDS, RELAXATION, ADVERSARY, CURVE,
)  # fmt: skip
SEARCHING = (RANDOM_WEIGHTS, NONSENSE, SEEDS)  # minutes each: they search again
QUICK = tuple(name for name in NAMES if name not in SEARCHING)


class Bar(NamedTuple):
    """`low` where less is better."""

    passes: float
    weak: float
    low: bool
    why: str

    def verdict(self, figure: float) -> Verdict:
        """Of a figure that is not a number: fail."""
        sign = 1 if self.low else -1
        if sign * figure <= sign * self.passes:
            return PASS
        return WEAK if sign * figure <= sign * self.weak else FAIL


LOSS = Bar(
    1, 2, True,
    "targets of loss: a circuit is good at the target or it is not; up to twice the "
    "target its answers are still mostly right",
)  # fmt: skip
SMALLER = Bar(
    1 / 3, 1, True,
    "its edges+ to those of the smallest circuit of a model or task that means "
    "nothing: three times smaller is more than searches differ by; equal is nothing",
)  # fmt: skip
RIGHT = Bar(
    0.95, 0.90, False,
    "share of right answers on pairs with distractors: a circuit that follows the "
    "nearest wrong rule is right on half of them",
)  # fmt: skip
COST = Bar(
    0.5, 0.25, False,
    "nats that the whole model loses without the circuit: guessing between two answers "
    "costs 0.69",
)  # fmt: skip
COST_RATIO = Bar(
    10, 3, False,
    "that cost to the median cost of random nodes, as many at each site and layer",
)  # fmt: skip
AT_ZERO = Bar(
    0.95, 0.75, False,
    "share of right answers with other nodes at zero. No bar for the loss: it also "
    "takes constants that only set how loudly the circuit speaks. But what it says may "
    "not hang on them; 0.75 is half way to guessing",
)  # fmt: skip
FLAT = Bar(
    1 / 3, 1, True,
    "targets of loss above both ends: between two models that do the task, mixtures "
    "of them do it too; a target above is a second wrong answer for every right one "
    "that the target allows",
)  # fmt: skip
CORRELATION = Bar(
    0.9, 0.7, False,
    "median correlation of a node's activation in the circuit with that in the whole "
    "model: the whole model explains 80%, or half, of what the node does in the "
    "circuit",
)  # fmt: skip
OPPOSITE = Bar(
    0.05, 0.10, True,
    "share of kept nodes with a negative correlation: they mean the opposite",
)  # fmt: skip
MUTE = Bar(
    1 / 3, 1, True,
    "targets of loss that hang on heads that keep a query or key but no value: they "
    "speak by how much they attend, through values that nobody counts",
)  # fmt: skip
REACHED = Bar(
    0.75, 0.5, False, "share of seeds that reach the target: less is luck"
)  # fmt: skip
ALIKE = Bar(
    0.5, 0.25, False,
    "median share of nodes that two circuits have in common, of all in either: two "
    "thirds of each, or two fifths",
)  # fmt: skip
DRIFT = Bar(
    0.25, 0.5, True,
    "largest |1 - f| from the circuit up to the whole model, f being the answers' "
    "lead as a share of the whole model's: a circuit that speaks half as loudly, or "
    "larger ones that speak half again as loudly, are not what the model does",
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
