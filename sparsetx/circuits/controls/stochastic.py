"""Control: H, the circuit's worst loss, also under stochastic ablation.

Nodes outside the circuit are a random mixture of themselves and their mean, with frozen
norms, in a hundred draws, every other of them smooth. H is the largest of three losses:
under mean ablation, the same with frozen norms, and the 95th percentile of the draws.
"""

import jax
import numpy as np

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import (
    Array,
    Evidence,
    loss_of,
    losses_of,
    masked,
    stacked,
)
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.search import judge
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

DRAWS = judge.DRAWS


def stochastic(evidence: Evidence) -> Entry:
    once = stacked([evidence.keep])
    frozen_1B = evidence.margins(masked, evidence.means, once, "", frozen=True)
    draws = losses_of(_drawn(evidence))
    found = {
        "mean": loss_of(evidence.cut),
        "frozen": float(losses_of(frozen_1B)[0]),
        "stochastic": float(np.percentile(draws, 95)),
    }
    worst = float(ablations.honest_loss(found))
    verdict = thresholds.LOSS.verdict(worst / evidence.target)
    bounds = {thresholds.PASS: "within", thresholds.WEAK: "within twice"}
    how = bounds.get(verdict, "more than twice")
    return Entry(
        thresholds.STOCHASTIC,
        verdict,
        f"H is {worst:.3f}, {how} the target of {evidence.target:g}; under stochastic "
        f"ablation the loss is {draws.mean():.3f} on average and at most "
        f"{found['stochastic']:.3f} in 95 of 100 draws.",
        {
            "H": worst,
            "95th percentile": found["stochastic"],
            "mean of draws": float(draws.mean()),
            "frozen norms": found["frozen"],
        },
        {"mean ablation": found["mean"], "whole model": loss_of(evidence.whole)},
        {"draws": draws.tolist()},
    )


def _drawn(evidence: Evidence) -> Array:
    """[draw, B] margins, with the draws of the H in circuit.json."""
    devices = jax.local_device_count()
    wide = -(-DRAWS // devices) * devices
    keys = jax.random.split(jax.random.key(0), wide)[:DRAWS]
    each = {
        "key": np.asarray(jax.random.key_data(keys)),
        "smooth": np.arange(DRAWS) % 2 == 0,
    }
    shared = evidence.keep, evidence.means
    return evidence.margins(_mixed, shared, each, thresholds.STOCHASTIC, frozen=True)


def _mixed(shared: tuple[Nodes, Nodes], draw: dict[str, jax.Array]) -> Tap:
    keep, means = shared
    key = jax.random.wrap_key_data(draw["key"])
    amount = ablations.drawn_amounts(keep, key, draw["smooth"])
    return ablations.stochastic(keep, means, amount)
