"""Frozen norms: the circuit, with every norm dividing by what it does in the model."""

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, loss_of


def frozen_norms(evidence: Evidence) -> Entry:
    subject, task = evidence.subject, evidence.test
    frozen = loss_of(subject.margins(task, frozen=True))
    own = loss_of(subject.margins(task))
    verdict = thresholds.LOSS.verdict(frozen / evidence.target)
    if verdict == thresholds.PASS:
        words = "It does not live off the norms of what it leaves out"
    else:
        words = "It needs norms that are those of the ablated model, not of the whole"
        if own > 2 * evidence.target:
            words = "It does not do the task, with frozen norms or its own"
    return Entry(
        thresholds.FROZEN_NORMS,
        verdict,
        f"{words}: loss {frozen:.3f} with frozen norms, {own:.3f} with its own.",
        {"loss": frozen},
        {"own norms": own},
    )
