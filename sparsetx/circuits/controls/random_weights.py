"""Control: the same search in models with shuffled weights.

Where a model has few weights, a shuffled one may do the task without being pruned. Then
there is nothing to compare with, and the weights are shuffled again.
"""

import jax
import jax.numpy as jnp

from sparsetx.circuits.controls import repeated_search, thresholds
from sparsetx.circuits.controls.entry import Entry, not_run
from sparsetx.circuits.controls.evidence import Evidence, loss_of
from sparsetx.circuits.controls.repeated_search import Result, Searches
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.model import shuffled_weights

REDRAWS = 3
TRIES = 5  # shuffles, while the model does the task without being pruned


def random_weights(evidence: Evidence, kept: Searches, redraws: int) -> Entry:
    if evidence.remeasure is None:
        return not_run(
            thresholds.RANDOM_WEIGHTS,
            "There is no text on which a shuffled model's means could be measured.",
        )
    found = []
    for number in range(redraws):
        name = f"{thresholds.RANDOM_WEIGHTS} {number + 1} of {redraws}"
        own = kept.once(
            f"{thresholds.RANDOM_WEIGHTS}/{number}",
            lambda number=number, name=name: _redrawn(  # type: ignore[misc]
                evidence, kept, number, name
            ),
        )
        found.append(own)
    return repeated_search.compared(
        evidence, thresholds.RANDOM_WEIGHTS, found, "shuffled weights"
    )


def _redrawn(evidence: Evidence, kept: Searches, number: int, name: str) -> Result:
    assert evidence.remeasure is not None
    for again in range(TRIES):
        seed = number * TRIES + again
        tree = shuffled_weights.shuffled(evidence.config, evidence.params, seed)
        params = jax.tree.map(jnp.asarray, tree)
        other = Subject(evidence.config, params, evidence.means, evidence.keep)
        loss = loss_of(other.whole.margins(evidence.val))
        if loss > evidence.target:
            break
    else:
        return {"reached": False, "skipped": True, "whole loss": loss}
    means = evidence.remeasure(params)
    asked = evidence.on(params, {site: means[site] for site in evidence.sites})
    found = kept.of(asked, evidence.search.seed, f"{evidence.name}, {name}")
    return found | {"redraw": seed, "whole loss": loss}
