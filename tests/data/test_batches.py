"""Data of a run: prepared if missing, kept if a run trains on it."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from sparsetx.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from sparsetx.data import prepare as prep
from sparsetx.data.batches import Feed, open_data
from sparsetx.data.prepare import Request, prepare
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import silent


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prep, "SAMPLE", 60_000)


def config(folder: Path, tokens: int = 5000, name: str = "tinypython") -> RunConfig:
    return dataclasses.replace(
        RunConfig(),
        data=DataConfig(name=name, path=str(folder), tokens=tokens),
        model=ModelConfig(vocab_size=512, context=16),
        train=TrainConfig(batch=8, eval_batches=2),
    )


def test_tinypython_is_prepared_where_it_is_missing(tmp_path: Path) -> None:
    made = open_data(config(tmp_path), silent)
    assert made.vocab_size == 512
    assert len(made.split("train")) >= 5000
    with pytest.raises(Refusal, match="sparsetx data prepare stdlib"):
        open_data(config(tmp_path / "none", name="stdlib"), silent)


def test_a_smaller_set_does_not_take_the_place_of_a_larger(tmp_path: Path) -> None:
    large = open_data(config(tmp_path, 6000), silent)
    assert open_data(config(tmp_path, 5000), silent).fingerprint == large.fingerprint
    larger = open_data(config(tmp_path, 9000), silent)
    assert larger.fingerprint != large.fingerprint


def test_a_run_goes_on_with_an_older_grammars_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_data(config(tmp_path), silent).fingerprint
    monkeypatch.setattr(prep, "GRAMMAR", prep.GRAMMAR + 1)
    assert open_data(config(tmp_path), silent, before).fingerprint == before
    with pytest.raises(Refusal, match="but the run began on"):
        open_data(config(tmp_path), silent, "another")
    made = open_data(config(tmp_path), silent)  # a new run: this grammar's
    assert made.meta["recipe"]["grammar"] == prep.GRAMMAR


def test_batches_are_the_loaders_in_the_order_of_steps(tmp_path: Path) -> None:
    data = prepare(Request("tinypython", 512, 30_000, str(tmp_path)))
    found = Feed.of(config(tmp_path), data, SingleDeviceSharding(jax.devices()[0]))
    batch = found.ahead(3, 6)
    for step in (3, 4, 5):
        np.testing.assert_array_equal(batch(step), found.train.rows(step))
    held = list(found.held_out())
    assert len(held) == 2
    assert held[0].shape == (8, 17)
