"""Ranking nodes by attribution: baselines for the search, of a few passes.

By attribution patching a node's score is |gradient · (activation - other)| summed over
tokens, in the whole model, where `other` is what ablation puts in its place: the slope
of the loss in the node's mask, at one. By integrated gradients (as EAP-IG has them for
edges; here for nodes, which is what our circuits consist of) it is the mean slope on
the way from everything ablated to nothing ablated.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.search.judge import Judge, Kind

STEPS = 8  # on the way


def integrated(judge: Judge) -> dict[str, np.ndarray]:
    """Scores by integrated gradients, summed over the judge's kinds of ablation."""
    score = sum(np.abs(mean_slopes(judge, kind)) for kind in judge.kinds)
    score = score + np.finfo(np.float32).tiny  # above 0: all are kept
    return nodes.unflatten(judge.config, score, judge.sites)


def mean_slopes(judge: Judge, kind: Kind, steps: int = STEPS) -> npt.NDArray[Any]:
    """[node] the mean slope of the loss in each node's mask, on the way from all nodes
    ablated to none. Together they are what the loss changes on it."""
    count = nodes.count(judge.config, judge.sites)
    way = (np.arange(steps) + 0.5) / steps
    found: npt.NDArray[Any] = np.mean(
        [judge.slopes(np.full(count, x), kind)[0] for x in way], 0
    )
    return found


def scores(judge: Judge) -> dict[str, np.ndarray]:
    """A score for each node, used in place of a search's τ."""
    everything = np.ones(nodes.count(judge.config, judge.sites), bool)
    slope, _ = judge.slopes(everything)
    score = np.abs(slope) + np.finfo(np.float32).tiny  # above 0: all are kept
    return nodes.unflatten(judge.config, score, judge.sites)
