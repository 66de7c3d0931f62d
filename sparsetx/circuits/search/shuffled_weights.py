"""The first thing to doubt: a model whose weights say nothing.

The same zeros, the values of each matrix dealt anew among its places. What prunes as
small as the trained model only shows how few weights there are (controls, 1).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsetx.config import ModelConfig
from sparsetx.model import parameters


def shuffled(config: ModelConfig, params: Mapping[str, Any], seed: int) -> Any:
    """Every matrix, layer by layer, keeps its zeros and the values it has, but not
    their places."""
    rng = np.random.default_rng(seed)
    whole = dict(parameters.leaves(params))
    new = {}
    for parameter in parameters.table(config):
        if parameter.kind != "matrix":
            continue
        w = np.array(whole[parameter.path])
        for part in w if parameter.stacked else w[None]:
            alive = part != 0
            part[alive] = rng.permutation(part[alive])
        new[parameter.path] = w
    return parameters.replaced(params, new)
