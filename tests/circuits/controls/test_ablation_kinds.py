"""Values of running text show a node that all prompts of a task share."""

import numpy as np
import pytest

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.ablation_kinds import ablation_kinds
from sparsetx.circuits.controls.evidence import Evidence, Text
from sparsetx.circuits.facts import Search
from sparsetx.circuits.search.final_figures import Subject
from tests.circuits.compiled_models import base, constant_node
from tests.circuits.compiled_models.trial import ANSWERS, Trial

TRIAL = Trial(constant_node.model())


def text(rows: int, length: int) -> np.ndarray:
    return base.text(rows)[0, :rows, :length]


def evidence(text: Text) -> Evidence:
    """A circuit without the nodes that are constant in the task."""
    (whole,) = TRIAL.made.smallest
    keep = base.mask(whole - constant_node.CONSTANT)
    train, val, test = (
        TRIAL.task(32, seed, split, donors=False)
        for seed, split in enumerate(("train", "val", "test"))
    )
    return Evidence(
        Subject(base.CONFIG, TRIAL.params, TRIAL.means, keep), train, val, test,
        np.zeros(32, bool), ANSWERS, Search(target=base.TARGET), text=text,
    )  # fmt: skip


@pytest.mark.slow
def test_a_node_that_all_prompts_share_is_missed_by_prompts_alone() -> None:
    found = ablation_kinds(evidence(text))
    assert found.name == thresholds.ABLATION_KINDS
    for kind in ("together", "apart"):
        assert (found.figure[f"loss, {kind}"] or 0) < base.TARGET
    on_text = found.figure["loss, text"]
    assert on_text is not None
    assert on_text > 2 * base.TARGET
    assert f"{on_text:.3f} with values of running text" in found.words


@pytest.mark.slow
def test_without_the_tokens_of_the_run_it_is_left_out() -> None:
    found = ablation_kinds(evidence(lambda rows, length: None))
    assert "loss, text" not in found.figure
    assert "running text" not in found.words
