"""Control: the circuit's loss under mean ablation with frozen norms."""

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, loss_of


def frozen_norms(evidence: Evidence) -> Entry:
    subject, task = evidence.subject, evidence.test
    frozen = loss_of(subject.margins(task, frozen=True))
    own = loss_of(subject.margins(task))
    verdict = thresholds.LOSS.verdict(frozen / evidence.target)
    if verdict == thresholds.PASS:
        words = "It does not depend on how ablation changes the norms"
    else:
        words = "It needs the norms of the ablated model, not those of the whole model"
        if own > 2 * evidence.target:
            words = "It does the task neither with frozen norms nor with its own"
    return Entry(
        thresholds.FROZEN_NORMS,
        verdict,
        f"{words}: loss {frozen:.3f} with frozen norms, {own:.3f} with its own.",
        {"loss": frozen},
        {"own norms": own},
    )
