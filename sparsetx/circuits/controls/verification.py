"""Verify every circuit of a run: report those that are damaged, or score otherwise.

A circuit holds the hash of its model, and its archive a checksum of each member. Asked
to, its loss is measured again: the prompts of the test pool are drawn anew, and the
circuit answers them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparsetx.circuits import circuit
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.facts import REACHED
from sparsetx.circuits.search import pools
from sparsetx.run.verification import Finding
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.tasks import table

SAME = 1e-3  # nats: losses on other machines differ by rounding


def circuits(path: files.PathLike, rescore: bool = False) -> Iterator[Finding]:
    """A finding for each circuit in a run's folder, in the order of their paths."""
    folder = files.place(path)
    every = [f for own in sorted(folder.glob("circuits*")) for f in files.inside(own)]
    for file in every:
        if file.name != circuit.JSON:
            continue
        name = str(file.parent.relative_to(folder))
        try:
            yield _verified(file.parent, name, rescore)
        except Refusal as refusal:
            yield Finding(name, str(refusal), False)


def _verified(folder: Path, name: str, rescore: bool) -> Finding:
    facts = circuit.load_facts(folder)
    if facts.status != REACHED:
        return Finding(name, facts.status)
    found = circuit.load_circuit(folder)
    if not rescore or facts.task not in table.TASKS:
        return Finding(name, facts.status)
    loss, right = scored(found, folder)
    told = (
        f"{facts.size.edges:,} edges, {facts.search.kind}: loss {loss:.4f} "
        f"(recorded: {facts.loss:.4f}), {100 * right:.1f}% right"
    )
    return Finding(name, told, abs(loss - facts.loss) <= SAME)


def scored(found: Circuit, folder: Path) -> tuple[float, float]:
    """The calibrated loss of a circuit on its test pool, drawn again, and the part that
    is right."""
    pairs = pools.again(folder, found.facts).pairs
    logits_B2 = found.answer_logits(pairs.tokens_BL, pairs.position_B, pairs.answers_B2)
    margin_B = logits_B2[:, 0] - logits_B2[:, 1].astype(np.float64)
    if pairs.one_token:
        margin_B = margin_B * np.asarray(pairs.sign_B)
    return float(np.logaddexp(0, -margin_B).mean()), float((margin_B > 0).mean())
