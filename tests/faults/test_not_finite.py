"""A loss that is not a number: in one batch, and for ever."""

from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.run import metrics_log
from tests import runs
from tests.faults import hosts
from tests.faults.case import case

BAD = 5
# The loss of this one batch, and with it its gradient, is not a number.
POISONED = f"""
import jax.numpy as jnp
from sparsetx.training import loop, step as train
from sparsetx.cli import main
sound, step = train.loss, train.train_step
def poisoned(run, state, rows):
    factor = jnp.where(state.step == {BAD}, jnp.nan, 1.0)
    train.loss = lambda run, params, rows: sound(run, params, rows) * factor
    return step(run, state, rows)
loop.train_step = poisoned
main.run()
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("nan"), runs.data())


def test_one_batch(experiment: Path, tmp_path: Path) -> None:
    """It changes nothing but the count; what the run learned before and after stays."""
    run = tmp_path / "run"
    command = hosts.train(experiment, run, "train.log_every=1")
    with case("one batch whose loss is not a number") as row:
        end = hosts.alone(["-c", POISONED, *command[2:]], 1)
        assert end.code == 0, end.err
        losses = {
            r["step"]: r["loss"]
            for r in metrics_log.read(run / "metrics.jsonl")
            if "loss" in r
        }
        assert [step for step in losses if np.isnan(losses[step])] == [BAD + 1]
        assert np.isfinite(sparsetx.load_run(run).logits(np.zeros((1, 4), int))).all()
        row.told = (
            "skipped; its row says nan, all parameters are finite, the run ends well"
        )


def test_for_ever(experiment: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ("optim.lr=1e30", "train.bad_steps=3")
    with case("every batch from some step on is not a number") as row:
        end = hosts.alone(hosts.train(experiment, run, *more), 1)
        assert end.code == 1, end
        assert "3 steps in a row had a loss or gradient that is not finite" in end.err
        assert "Traceback" not in end.err
        row.told = "exit 1, names the batches; no parameter changed by them"
