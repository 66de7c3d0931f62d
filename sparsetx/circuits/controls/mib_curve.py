"""Control: faithfulness of circuits of all sizes, as the MIB benchmark measures it.

f(k) is the mean margin of the first nodes of an order, as many as have a fraction k of
all edges; it is scaled to 0 for no nodes and 1 for the whole model. The order is this
circuit's nodes by the size of the loss's slope, then all others by attribution. CPR is
the area under f, CMD that of |1 - f|, over the fraction of edges. The areas say little
about a circuit that has most of the edges, so the verdict is on f from this circuit up
to the whole model, in steps from a single node on.
"""

from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Array, Evidence, masked, stacked
from sparsetx.circuits.measure import edges
from sparsetx.circuits.search import attribution
from sparsetx.circuits.search.judge import Judge

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of all edges
STEPS = 24  # sizes from the circuit up to the whole model


def curve(evidence: Evidence) -> Entry:
    order, own = _order(evidence)
    counts, shares = _shares(evidence, order)
    up = np.unique(
        np.concatenate(
            [[own], own + np.geomspace(1, len(order) - own, STEPS).astype(int)]
        )
    )
    faith = _faith(evidence, order, np.concatenate([counts, up]))
    along, after = np.split(faith, [len(counts)])
    drift = float(np.abs(1 - after).max())
    x, y = np.concatenate([[0], shares]), np.concatenate([[0], along])
    cpr = float(np.trapezoid(y, x))
    cmd = float(np.trapezoid(np.abs(1 - y), x))
    verdict = thresholds.DRIFT.verdict(drift)
    words = (
        f"The circuit's mean margin is {after[0]:.2f} of the whole model's; as nodes "
        f"are added, this fraction differs from 1 by at most {drift:.2f}."
    )
    if not np.isfinite(drift):
        words = "The whole model's mean margin equals that of an empty circuit."
    return Entry(
        thresholds.CURVE,
        verdict,
        words,
        {"f of the circuit": float(after[0]), "drift": drift, "CPR": cpr, "CMD": cmd},
        {"whole model": 1.0},
        {
            "shares": shares.tolist(),
            "f": along.tolist(),
            "nodes": up.tolist(),
            "f from the circuit on": after.tolist(),
            "circuit": _share(evidence, order, np.array([own])).tolist(),
        },
    )


def _order(evidence: Evidence) -> tuple[Array, int]:
    """All nodes, the circuit's first; and how many the circuit has."""
    config, sites = evidence.config, evidence.sites
    judge = Judge(config, evidence.params, evidence.means, evidence.val, honest=False)
    keep = nodes.flatten(config, evidence.keep, sites) > 0
    own = np.abs(judge.slopes(keep)[0])
    other = nodes.flatten(config, attribution.scores(judge), sites)
    found = np.lexsort((-np.where(keep, own, other), ~keep))
    return found, int(keep.sum())


def _masks(evidence: Evidence, order: Array, counts: Array) -> dict[str, Any]:
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    each = (place[None] < counts[:, None]).astype(np.float32)
    trees = [nodes.unflatten(evidence.config, row, evidence.sites) for row in each]
    return stacked(trees)


def _share(evidence: Evidence, order: Array, counts: Array) -> Array:
    """The fraction of all edges that the first `counts` nodes have."""
    config, pattern = evidence.config, evidence.pattern
    found = edges.size(config, pattern, _masks(evidence, order, counts)).edges
    every = edges.size(
        config, pattern, _masks(evidence, order, np.array([len(order)]))
    ).edges
    return np.asarray(found / np.maximum(every, 1))


def _shares(evidence: Evidence, order: Array) -> tuple[Array, Array]:
    """The most nodes with no more than each of SHARES, and the fractions they have."""
    counts = []
    for share in SHARES:
        low, high = 0, len(order)
        while low < high:
            middle = (low + high + 1) // 2
            fits = _share(evidence, order, np.array([middle]))[0] <= share
            low, high = (middle, high) if fits else (low, middle - 1)
        counts.append(low)
    found = np.array(counts)
    return found, _share(evidence, order, found)


def _faith(evidence: Evidence, order: Array, counts: Array) -> Array:
    """f of the first `counts` nodes."""
    ends = np.array([0, len(order)])
    masks = _masks(evidence, order, np.concatenate([ends, counts]))
    margin_NB = evidence.margins(masked, evidence.means, masks, thresholds.CURVE)
    none, whole, *found = margin_NB.mean(-1).tolist()
    gap = whole - none
    return np.asarray((np.array(found) - none) / (gap if abs(gap) > 1e-6 else np.nan))
