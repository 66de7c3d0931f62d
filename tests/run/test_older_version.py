"""A run and circuits written by version 0.1 load, with the same results.

The files must never be written again. If this fails, a reader has changed, and users'
runs could not be read.
"""

from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.circuits.controls import verification
from sparsetx.run import checkpoints
from sparsetx.tasks import task_file

OLD = Path(__file__).parents[1] / "golden" / "run-0.1-quotes"


def test_the_run_loads_whole() -> None:
    run = sparsetx.load_run(OLD)
    assert run.step == 0
    assert run.config.model.vocab_size == run.tokenizer.vocab_size == 512
    assert checkpoints.check(OLD, 0)
    assert all(finding.whole for finding in verification.circuits(OLD))


@pytest.mark.parametrize("kind", ["", "plain"])
def test_a_circuit_decides_as_it_did(kind: str) -> None:
    circuit = sparsetx.load_circuit(OLD / "circuits" / "quotes" / kind)
    facts = circuit.facts
    assert (facts.size.edges, len(circuit.edges)) == (9, 9)
    tokenizer = sparsetx.load_run(OLD).tokenizer
    pairs = task_file.file_pairs(OLD / "quotes.jsonl", tokenizer, "test", context=32)
    logits_B2 = circuit.answer_logits(
        pairs.tokens_BL, pairs.position_B, pairs.answers_B2
    )
    loss = np.mean(np.logaddexp(0, logits_B2[:, 1] - logits_B2[:, 0]))
    assert loss == pytest.approx(facts.loss, abs=1e-3)
