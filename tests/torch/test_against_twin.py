"""The model in JAX against its torch twin: logits and every gradient."""

import numpy as np
import pytest
import torch

from tests.torch import cases, ours, twin

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def seen():
    """(largest difference of logits, of gradients) of each case; the worst is shown."""
    found = []
    yield found
    logits, gradients = map(max, zip(*found, strict=True))
    print(
        f"\nthe twin, {len(found)} cases, float32: max |Δ logits| {logits:.1e}, "
        f"max |Δ gradient| / max |gradient| {gradients:.1e}"
    )


@pytest.mark.parametrize(
    "of", cases.pairwise() + cases.one_at_a_time(), ids=lambda of: of.name
)
def test_logits_and_gradients_are_the_twins(of, seen):
    state, tokens_BL = of.inputs
    logits_BLV, loss, gradients = twin.loss_and_gradients(
        of.config, state, tokens_BL, torch.float64
    )
    got = ours.loss_and_gradients(of.config, state, tokens_BL)
    difference = np.abs(got.logits - logits_BLV).max()
    worst, tensor = ours.farthest(got.gradients, gradients)
    seen.append((difference, worst))
    assert difference <= 1e-4
    assert abs(got.loss - loss) <= 1e-5
    assert worst <= 1e-4, tensor
    unmatched = set(state) - set(got.gradients)
    assert all(not state[name].any() for name in unmatched), unmatched
