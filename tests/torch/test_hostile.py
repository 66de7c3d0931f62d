"""Files in the place of a released model's weights: bytes changed at random."""

import os
import random

import pytest
import torch

from sparsetx import openai_format
from sparsetx.system.errors import Refusal
from tests.faults import mutate
from tests.torch.test_released_folders import full, write

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore"),  # torch warns of some, then refuses them
]
COUNT = 1000


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_changed_bytes_are_refused_or_harmless(zipped, tmp_path, monkeypatch):
    folder = write(tmp_path / "in", *full())
    path = folder / "final_model.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    good = path.read_bytes()
    # Most bytes are weights, and other weights are a model as well: aim at the rest.
    ends = 4096 if zipped else 16384
    monkeypatch.chdir(tmp_path)
    refused = []
    for number in range(COUNT):
        rng = random.Random(f"{zipped} {number}")
        if rng.random() < 0.5:
            bad = mutate.data(good[:ends], rng) + good[ends:]
        else:
            bad = good[:-ends] + mutate.data(good[-ends:], rng)
        path.write_bytes(bad)
        try:
            openai_format.load(folder)
        except Refusal as refusal:
            refused.append(str(refusal))
    assert os.listdir(tmp_path) == ["in"]  # nothing was run, nothing written beside
    assert len(refused) > COUNT / 4
    assert all(path.name in told for told in refused)
