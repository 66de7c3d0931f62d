"""Interchange effects: what part of the decision each node of a circuit carries.

An ablation cost says whether a node is needed; an interchange effect says whether it
carries the information that decides. The node takes the value that it has in the other
prompt of the pair, at the same distance from the end, and nothing else is changed. Its
effect is how far that moves the margin towards the other prompt's, as a fraction of the
whole distance. A node with equal values in both prompts has an effect of 0, whatever
its ablation cost. Effects need not add up to 1: nodes on one path carry the same
decision one after another, some overshoot, and some work against it.

Departure: the paper ablates, and does not interchange single nodes.
"""

import numpy as np

from sparsetx.circuits.explain.activations import Array, Prompted
from sparsetx.nodes import Node

CLEAR = 3.0  # standard errors over pairs by which the mean margin must exceed zero


def of(prompted: Prompted) -> dict[Node, float]:
    """{node: effect}, as a fraction of the mean margin over all prompts. Empty where
    that margin is not clearly above zero: fractions of it would only be noise."""
    kept, margin_B = prompted.kept, prompted.margin_B
    margin_P = margin_B.reshape(-1, 2).mean(1)
    error = margin_P.std() / np.sqrt(len(margin_P))
    if not kept or margin_P.mean() <= CLEAR * error:
        return {}
    other_NBL = _values_in_the_other_prompt(prompted)
    after_NB = prompted.held(list(zip(kept, other_NBL, strict=True)))
    moved_N = np.mean(margin_B - after_NB, 1) / (2 * margin_B.mean())
    return dict(zip(kept, moved_N.tolist(), strict=True))


def _values_in_the_other_prompt(prompted: Prompted) -> Array:
    """[node, B, L]: each kept node in the other prompt of the pair, at the same
    distance from its end; its own value where the other prompt is shorter."""
    own_NBL = np.stack([prompted.taken.values[node] for node in prompted.kept])
    last_B = np.asarray(prompted.asked.position_B)
    partner_B = np.arange(len(last_B)) ^ 1
    here_1L = np.arange(own_NBL.shape[2])[None]
    there_BL = here_1L + (last_B[partner_B] - last_B)[:, None]
    has_BL = (there_BL >= 0) & (here_1L <= last_B[:, None])
    other_NBL = own_NBL[:, partner_B[:, None], np.where(has_BL, there_BL, 0)]
    return np.where(has_BL, other_NBL, own_NBL)
