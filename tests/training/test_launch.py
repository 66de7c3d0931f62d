"""Launching: sinks of metrics, the profile, the table of parameters, hosts."""

import dataclasses
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from sparsetx.config import MeshConfig, RunConfig
from sparsetx.model import mesh
from sparsetx.run import metrics_log, provenance
from sparsetx.system import hosts
from sparsetx.system.errors import Refusal
from sparsetx.system.signals import Stop
from sparsetx.training import launch, profile
from tests import runs


def config(**train: object) -> RunConfig:
    whole = runs.config(runs.data())
    return dataclasses.replace(whole, train=dataclasses.replace(whole.train, **train))


def test_the_profile_window_writes_a_profile(tmp_path: Path) -> None:
    run = config(profile_at=1, profile_steps=2)
    for step in range(5):
        profile.before(run, tmp_path, step)
        jnp.ones(3).sum().block_until_ready()
        assert (tmp_path / "profile").exists() == (step >= 3)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
    profile.after(run, tmp_path, 0, 5)  # nothing is left to end


@pytest.mark.parametrize(("first", "done"), [(0, 2), (0, 3), (1, 3)])
def test_a_run_that_ends_in_the_window_ends_the_profile(
    tmp_path: Path, first: int, done: int
) -> None:
    run = config(profile_at=1, profile_steps=2)
    for step in range(first, done):
        profile.before(run, tmp_path, step)
    assert not (tmp_path / "profile").exists()
    profile.after(run, tmp_path, first, done)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize(("first", "done"), [(0, 1), (2, 3)])
def test_a_run_that_has_not_begun_one_ends_none(
    tmp_path: Path, first: int, done: int
) -> None:
    run = config(profile_at=1, profile_steps=2)
    for step in range(first, done):
        profile.before(run, tmp_path, step)
    profile.after(run, tmp_path, first, done)
    assert not (tmp_path / "profile").exists()


def test_rows_go_to_every_sink_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    class Sink:
        def __init__(self, *how: object):
            seen.append(how)

        def __call__(self, row: object) -> None:
            seen.append(row)

        def close(self) -> None:
            seen.append("closed")

    monkeypatch.setattr(metrics_log, "TensorBoard", Sink)
    monkeypatch.setattr(metrics_log, "WandB", Sink)
    both = config(tensorboard=True, wandb="project")
    with launch.sinks(both, tmp_path, 0) as log:
        log({"step": 1})
    board, wandb, *rest = seen
    assert board == (tmp_path / "tensorboard",)
    assert wandb == ("project", tmp_path.name)
    assert rest == [{"step": 1}, {"step": 1}, "closed", "closed"]
    assert metrics_log.read(tmp_path / "metrics.jsonl") == [{"step": 1}]


def test_only_the_first_host_writes_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "is_first_host", lambda: False)
    with launch.sinks(config(), tmp_path, 0) as log:
        log({"step": 1})
    assert list(tmp_path.iterdir()) == []


def test_the_table_says_how_each_parameter_lies() -> None:
    devices = mesh.make(MeshConfig(2, 4), 8)
    rows = {row.name: row for row in launch.described(config(), devices)}
    fc = rows["blocks/fc/w"]
    assert fc.shape == (2, 16, 32)
    assert (fc.sharding, fc.bytes, fc.parts) == ("- x - x fsdp", 4 * 1024, 4)
    assert fc.kept == 0.25
    assert rows["final_norm/gain"].parts == 1
    assert rows["embed/w"].kept == 0.5
    assert rows["bigram/table"].kept == 1.0


def test_the_code_is_named_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def git(answer: str):
        return lambda *a, **k: SimpleNamespace(stdout=answer)

    monkeypatch.setattr(subprocess, "run", git("abc123-dirty\n"))
    assert provenance.code_state() == "abc123-dirty"
    monkeypatch.setattr(subprocess, "run", git(""))
    assert provenance.code_state() == "unknown"

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.code_state() == "unknown"


def test_hosts_that_differ_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hosts, simulated: only the gathered values are made up."""
    import numpy as np
    from jax.experimental import multihost_utils

    def gathered(row: np.ndarray) -> np.ndarray:
        other = row.copy()
        other[8] ^= 1  # the second fact's digest
        other[-64:] = np.frombuffer(b"host-b".ljust(64), np.uint8)
        return np.stack([row, other])

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", gathered)
    with pytest.raises(Refusal, match=r"versions: host-b differ from") as refused:
        hosts.agree({"config": 1, "versions": 2})
    assert "config" not in str(refused.value)


@pytest.mark.parametrize("every", [pytest.param(6, marks=pytest.mark.slow), 5])
def test_a_run_stopped_in_its_last_evaluation_does_it_again(
    tmp_path: Path, every: int
) -> None:
    """Also where the last step is no multiple of train.eval_every."""
    run = runs.copied(tmp_path)
    path = run / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    last = [r for r in rows if r["step"] == runs.STEPS and "validation_loss" in r]
    left = [json.dumps(r) + "\n" for r in rows if r not in last]
    path.write_text("".join(left))
    config = runs.config(runs.data())
    train = dataclasses.replace(config.train, eval_every=every)
    with launch.opened(dataclasses.replace(config, train=train), run) as launched:
        launched.train(Stop())
    again = [json.loads(line) for line in path.read_text().splitlines()]
    found = [r for r in again if r["step"] == runs.STEPS and "validation_loss" in r]
    assert len(last) == len(found) == 1
    assert found[0]["validation_loss"] == pytest.approx(last[0]["validation_loss"])
