"""Shuffled weights: a null model with the same zeros and values permuted per matrix.

If its circuits are as small as the trained model's, their size only shows how few
weights there are (the control random_weights). Usually it does no task at all, however
many nodes are kept. A gentler null keeps embedding and unembedding, and shuffles the
matrices of the blocks only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsetx.config import ModelConfig
from sparsetx.model import parameters


def shuffled(
    config: ModelConfig,
    params: Mapping[str, Any],
    seed: int,
    blocks_only: bool = False,
) -> Any:
    """Permute the nonzero values of every matrix of every layer among their places;
    `blocks_only`: not those of the embedding and the unembedding."""
    rng = np.random.default_rng(seed)
    whole = dict(parameters.leaves(params))
    new = {}
    for parameter in parameters.table(config):
        if parameter.kind != "matrix" or (blocks_only and not parameter.stacked):
            continue
        w = np.array(whole[parameter.path])
        for each in w if parameter.stacked else w[None]:
            alive = each != 0
            each[alive] = rng.permutation(each[alive])
        new[parameter.path] = w
    return parameters.replaced(params, new)
