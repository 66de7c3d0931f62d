"""Ranking nodes by attribution: the older way, kept to compare with.

A node's score is |gradient · (activation - mean)| summed over tokens, in the whole
model: the slope of the loss as the node's mask leaves one. One pass, no search.
"""

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.search.judge import Judge


def scores(judge: Judge) -> dict[str, np.ndarray]:
    """In place of a search's τ."""
    everything = np.ones(nodes.count(judge.config, judge.sites), bool)
    slope, _ = judge.slopes(everything)
    score = np.abs(slope) + np.finfo(np.float32).tiny  # all are kept: only order counts
    return nodes.unflatten(judge.config, score, judge.sites)
