"""Stochastic ablation, and H: the worst that a circuit's loss can honestly be.

Nodes outside the circuit are a random mixture of themselves and their mean, with frozen
norms, a hundred times. H is the largest of three losses: under mean ablation, under it
with frozen norms, and the 95th percentile of these.
"""

from sparsetx.circuits import judge
from sparsetx.circuits.controls import table
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence, loss_of
from sparsetx.circuits.judge import Judge


def stochastic(evidence: Evidence) -> Entry:
    evidence.tell(table.STOCHASTIC, 0, judge.DRAWS)
    found = Judge(
        evidence.config, evidence.params, evidence.means, evidence.few, honest=True
    ).figures(evidence.keep)
    evidence.tell(table.STOCHASTIC, judge.DRAWS, judge.DRAWS)
    worst = found["H"]
    verdict = table.LOSS.verdict(worst / evidence.target)
    how = {table.PASS: "honest", table.WEAK: "weak"}.get(verdict, "not honest")
    return Entry(
        table.STOCHASTIC,
        verdict,
        f"The circuit is {how}: H {worst:.3f}; with other nodes half ablated at random "
        f"the loss is {found['stochastic_mean']:.3f} on average and "
        f"{found['stochastic']:.3f} in 95 of 100 draws.",
        {
            "H": worst,
            "95th percentile": found["stochastic"],
            "mean of draws": found["stochastic_mean"],
        },
        {"mean ablation": found["mean"], "whole model": loss_of(evidence.whole)},
        {"draws": judge.DRAWS},
    )
