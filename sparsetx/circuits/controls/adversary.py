"""Control: the worst mixture of other nodes with their means (no verdict)."""

import functools

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, loss_of
from sparsetx.circuits.measure.adversary import EPSILONS, epsilon


def adversary(evidence: Evidence) -> Entry:
    tell = functools.partial(evidence.tell, thresholds.ADVERSARY, unit="bounds")
    found, worst = epsilon(
        evidence.config, evidence.params, evidence.few.asked, evidence.keep,
        evidence.means, tell,
    )  # fmt: skip
    words = (
        "No mixture of other nodes found by gradient ascent reduces the circuit to "
        "guessing."
        if found is None
        else f"With up to {100 * found:.0f}% of other nodes' values mixed in, gradient "
        "ascent reduces the circuit to guessing."
    )
    return Entry(
        thresholds.ADVERSARY,
        thresholds.NONE,
        words,
        {"epsilon": found},
        {"mean ablation": loss_of(evidence.cut)},
        {"epsilons": EPSILONS[: len(worst)], "loss": worst},
    )
