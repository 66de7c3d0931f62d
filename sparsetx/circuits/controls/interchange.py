"""Control: random kept nodes take their values in the whole model, and the reverse.

If the circuit is what the model does, its nodes compute what they compute in the whole
model: a mixture of both, on the same prompts, does the task as well as either.
"""

import numpy as np

from sparsetx import model, taps
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import (
    Array,
    Evidence,
    loss_of,
    losses_of,
    stacked,
)
from sparsetx.circuits.measure import ablations
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

PARTS = (0.25, 0.5, 0.75, 1.0)  # of the kept nodes
DRAWS = 8  # for each fraction but 1, which has only one


def interchange(evidence: Evidence) -> Entry:
    fractions, where = _drawn(evidence)
    shared = evidence.keep, evidence.means, evidence.activations
    into = evidence.margins(
        _into, shared, where, f"{thresholds.INTERCHANGE}, into circuit"
    )
    own = circuit_activations(evidence)
    back = evidence.margins(_back, own, where, f"{thresholds.INTERCHANGE}, into model")
    ends = max(loss_of(evidence.cut), loss_of(evidence.whole))
    curves = {
        way: [float(losses_of(m)[fractions == p].mean()) for p in PARTS]
        for way, m in (("into circuit", into), ("into model", back))
    }
    rise = {way: max(curve) - ends for way, curve in curves.items()}
    most = max(rise.values())
    both = thresholds.LOSS.verdict(ends / evidence.target)
    verdict = thresholds.FLAT.verdict(most / evidence.target)
    if both == thresholds.FAIL:
        verdict = thresholds.FAIL
        words = "The circuit or the whole model does not do the task"
    elif verdict == thresholds.PASS:
        words = "Its nodes mean what they mean in the whole model"
    else:
        words = "Its nodes do not mean what they mean in the whole model"
    return Entry(
        thresholds.INTERCHANGE,
        verdict,
        f"{words}: with values exchanged, the loss rises by "
        f"{rise['into circuit']:.3f} in the circuit, by {rise['into model']:.3f} in "
        "the whole model.",
        {f"rise, {way}": x for way, x in rise.items()},
        {"circuit": loss_of(evidence.cut), "whole model": loss_of(evidence.whole)},
        {"parts": PARTS, **curves},
    )


def circuit_activations(evidence: Evidence) -> Nodes:
    """Activations of the circuit on the few prompts."""
    tap = taps.compose(
        ablations.mean(evidence.keep, evidence.means), taps.capture(evidence.sites)
    )
    tokens_BL = evidence.few.asked.tokens_BL
    found: Nodes = model.trace(evidence.config, evidence.params, tokens_BL, tap)[1]
    return found


def _drawn(evidence: Evidence) -> tuple[Array, dict[str, Array]]:
    """Fractions of the kept nodes, and a mask of that many for each."""
    rng = np.random.default_rng(evidence.search.seed)
    keep = {site: np.asarray(x) for site, x in evidence.keep.items()}
    fractions = np.array([p for p in PARTS[:-1] for _ in range(DRAWS)] + [1.0])
    masks = [
        {site: x * (rng.random(x.shape) < p) for site, x in keep.items()}
        for p in fractions
    ]
    return fractions, {s: x.astype(np.float32) for s, x in stacked(masks).items()}


def _into(shared: tuple[Nodes, Nodes, Nodes], where: Nodes) -> Tap:
    keep, means, values = shared
    return taps.compose(ablations.mean(keep, means), taps.interchange(where, values))


def _back(values: Nodes, where: Nodes) -> Tap:
    return taps.interchange(where, values)
