"""Ranking nodes by attribution: a baseline for the search.

A node's score is |gradient · (activation - mean)| summed over tokens, in the whole
model: the slope of the loss in the node's mask, at one. One pass, no search.
"""

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.search.judge import Judge


def scores(judge: Judge) -> dict[str, np.ndarray]:
    """A score for each node, used in place of a search's τ."""
    everything = np.ones(nodes.count(judge.config, judge.sites), bool)
    slope, _ = judge.slopes(everything)
    score = np.abs(slope) + np.finfo(np.float32).tiny  # above 0: all are kept
    return nodes.unflatten(judge.config, score, judge.sites)
