"""Control: a growing random part of the other nodes is no longer ablated.

Between the circuit and the whole model the task should be done throughout, unless the
circuit depends on what is ablated, or other nodes cancel each other.
"""

import numpy as np

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, losses_of, masked, stacked

PARTS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # of the other nodes
DRAWS = 8


def relaxation(evidence: Evidence) -> Entry:
    rng = np.random.default_rng(evidence.search.seed)
    keep = {site: np.asarray(x) for site, x in evidence.keep.items()}
    ones = {site: np.ones_like(x) for site, x in keep.items()}
    masks = [keep, ones]
    for part in PARTS:
        for _ in range(DRAWS):
            back = {site: rng.random(x.shape) < part for site, x in keep.items()}
            masks.append({s: np.maximum(keep[s], b) for s, b in back.items()})
    each = {site: x.astype(np.float32) for site, x in stacked(masks).items()}
    margin_NB = evidence.margins(masked, evidence.means, each, thresholds.RELAXATION)
    (cut, whole), losses = np.split(losses_of(margin_NB), [2])
    draws = losses.reshape(len(PARTS), DRAWS)
    bump = float(draws.mean(1).max() - max(cut, whole))
    verdict = thresholds.FLAT.verdict(bump / evidence.target)
    if thresholds.LOSS.verdict(max(cut, whole) / evidence.target) == thresholds.FAIL:
        verdict = thresholds.FAIL
        words = "The circuit or the whole model does not do the task"
    elif verdict == thresholds.PASS:
        words = "With some other nodes restored, the circuit still does the task"
    else:
        words = "With some other nodes restored, the circuit does the task worse"
    return Entry(
        thresholds.RELAXATION,
        verdict,
        f"{words}: the loss is {cut:.3f} in the circuit, {whole:.3f} in the whole "
        f"model, and at most {draws.mean(1).max():.3f} in between.",
        {"bump": bump},
        {"circuit": float(cut), "whole model": float(whole)},
        {
            "parts": [0.0, *PARTS, 1.0],
            "loss": [float(cut), *draws.mean(1).tolist(), float(whole)],
            "draws": [[float(cut)], *draws.tolist(), [float(whole)]],
        },
    )
