"""Control: accuracy on the test pool, whose templates and words no search used."""

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, right_of


def unseen(evidence: Evidence) -> Entry:
    odd_P, subject = evidence.distractor_P, evidence.subject
    right_P = right_of(subject.margins(evidence.test).reshape(-1, 2))
    whole_P = right_of(subject.whole.margins(evidence.test).reshape(-1, 2))
    judged_P = odd_P if odd_P.any() else ~odd_P
    right, whole = float(right_P[judged_P].mean()), float(whole_P[judged_P].mean())
    plain = float(right_P[~odd_P].mean()) if not odd_P.all() else None
    what = "with a distractor" if odd_P.any() else "(this task has no distractors)"
    verdict = thresholds.RIGHT.verdict(right)
    return Entry(
        thresholds.TEST_POOL,
        verdict,
        f"The circuit is right on {100 * right:.1f}% of unseen prompts {what}, the "
        f"whole model on {100 * whole:.1f}%.",
        {"accuracy": right, "accuracy without distractors": plain},
        {"whole model": whole},
        {"pairs": int(judged_P.sum())},
    )
