"""The model against golden numbers of its torch twin, where torch is not installed.

The numbers change only when the twin is found wrong; tests/torch/golden.py writes them
and says when that is right. A failure here means that the model computes something else
than it did.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.torch import ours

PATH = Path(__file__).parent / "golden" / "twin.npz"
WHY = "the model has changed; do not regenerate (tests/torch/golden.py says why)"


def names():
    with np.load(PATH, allow_pickle=False) as file:
        return sorted({key.split("/")[0] for key in file.files})


def read(name):
    """What the twin computed for a case, flat tensors under their names again."""
    with np.load(PATH, allow_pickle=False) as file:
        got = {
            key.split("/")[1]: file[key] for key in file.files if key.startswith(name)
        }
    about = json.loads(str(got["about"]))
    for key in ("state", "gradients"):
        tensors, start = {}, 0
        for tensor, shape in about["tensors"]:
            size = int(np.prod(shape))
            tensors[tensor] = got[key][start : start + size].reshape(shape)
            start += size
        assert start == got[key].size
        got[key] = tensors
    return got | about


# Two of the four: the one with most parts, and the one with fewest.
SLOW = ("no_positions", "some_sites")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in names()],
)
def test_logits_loss_and_gradients_are_the_twins(name):
    golden = read(name)
    got = ours.loss_and_gradients(golden["config"], golden["state"], golden["tokens"])
    assert np.abs(got.logits - golden["logits"]).max() < 2e-5, WHY
    assert got.loss == pytest.approx(golden["loss"], abs=1e-5), WHY
    worst, tensor = ours.farthest(got.gradients, golden["gradients"])
    assert worst < 1e-4, (tensor, WHY)
    assert set(golden["gradients"]) - set(got.gradients) <= {
        "transformer.wpe.weight",  # a table of zeros, in a model without positions
    }


def test_the_file_is_small_and_holds_every_part_of_the_model():
    assert PATH.stat().st_size < 300_000
    tensors = {tensor for name in names() for tensor in read(name)["state"]}
    for part in ("wpe", "sink_logit", "ln_p1", "bigram_table", "final_logits_bias"):
        assert any(part in tensor for tensor in tensors), part
    for name in names():
        golden = read(name)
        difference = np.abs(golden["logits"] - golden["logits_float32"]).max()
        assert 0 < difference < 1e-5  # the twin in float64 and in float32
