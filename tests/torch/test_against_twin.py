"""The model in JAX against its torch twin: logits and every gradient."""

import numpy as np
import pytest
import torch

from tests.torch import cases, ours, twin

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    "of", cases.pairwise() + cases.one_at_a_time(), ids=lambda of: of.name
)
def test_logits_and_gradients_are_the_twins(of):
    state, tokens_BL = of.inputs
    logits_BLV, loss, gradients = twin.loss_and_gradients(
        of.config, state, tokens_BL, torch.float64
    )
    got = ours.loss_and_gradients(of.config, state, tokens_BL)
    difference = np.abs(got.logits - logits_BLV).max()
    worst, tensor = ours.farthest(got.gradients, gradients)
    print(f"logits {difference:.1e}, gradients {worst:.1e} ({tensor})")
    assert difference <= 1e-4
    assert abs(got.loss - loss) <= 1e-5
    assert worst <= 1e-4, tensor
    unmatched = set(state) - set(got.gradients)
    assert all(not state[name].any() for name in unmatched), unmatched
