"""Two processes train one run: as one process does, and they stop as one."""

import json
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from sparsetx.data.prepare import Request, prepare
from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import fields, files
from tests import runs
from tests.faults import hosts
from tests.faults.case import until

FEW = ("train.steps=3", "train.save_every=1", "train.keep_last=3", "train.eval_every=2")
PROJECT = """
import json, sys
import jax, jax.numpy as jnp
from sparsetx import projection, run
from sparsetx.model import mesh
from sparsetx.run import checkpoints
from sparsetx.system import hosts, signals
from sparsetx.config import MeshConfig
hosts.start(signals.Stop())
path, shards = sys.argv[1], int(sys.argv[2])
config = run.load_config(path)
devices = mesh.make(MeshConfig(None, shards), 8)
params = checkpoints.read_params(path, 1)
where = mesh.tree_shardings(devices, config.model, params)
here = jax.tree.map(
    lambda x, s: jax.make_array_from_callback(x.shape, s, lambda i: x[i]), params, where
)
with jax.set_mesh(devices):
    project = jax.jit(lambda p: projection.project(config, p, 0.7), out_shardings=where)
    print(json.dumps(checkpoints.checksums(project(here))))
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    request = Request("tinypython", 512, 20_000, str(folder / "data"))
    prepare(request)
    config = fields.override(
        runs.config(folder / "data"),
        # A gradient that is rounding noise stays noise: Adam's eps is large.
        ["optim.eps=0.1", "mesh.fsdp=2"],
        "the experiment",
    )
    files.write_json(folder / "two.json", fields.to_json(config))
    return folder / "two.json"


@pytest.fixture(scope="module")
def trained(experiment: Path) -> tuple[Path, Path]:
    """By one process and by two: the same steps from the same first state."""
    one, two = experiment.parent / "one", experiment.parent / "both"
    end = hosts.alone(hosts.train(experiment, one, *FEW, "mesh.fsdp=1"))
    assert end.code == 0, end
    for end in hosts.both(hosts.train(experiment, two, *FEW)):
        assert end.code == 0, end
    return one, two


def test_a_step_of_two_processes_is_that_of_one(trained: tuple[Path, Path]) -> None:
    one, two = (checkpoints.read_params(path, 1) for path in trained)
    away = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), one, two)
    assert max(jax.tree.leaves(away)) <= 1e-6
    assert np.any(one["embed"]["w"] == 0)  # it was projected
    rows = [metrics_log.read(path / "metrics.jsonl") for path in trained]
    assert [r["step"] for r in rows[0]] == [r["step"] for r in rows[1]]
    loss = [[r["validation_loss"] for r in x if "validation_loss" in r] for x in rows]
    np.testing.assert_allclose(*loss, atol=1e-5)


def test_only_the_first_process_speaks_and_the_start_is_written_once(
    experiment: Path, trained: tuple[Path, Path]
) -> None:
    starts = files.read_json(trained[1] / "environment.json", "it")["starts"]
    assert [(s["step"], s["hosts"]) for s in starts] == [(0, 2)]
    assert starts[0]["devices"] == "4 x cpu"
    first, second = hosts.both(hosts.train(experiment, trained[1], *FEW))
    assert "going on at step 3" in first.out
    assert second.out == ""
    assert "train:" not in second.err


def test_project_is_bit_equal(trained: tuple[Path, Path]) -> None:
    script = ["-c", PROJECT, str(trained[0])]
    wanted = hosts.alone([*script, "1"])
    found = hosts.both([*script, "2"])
    assert [end.code for end in (wanted, *found)] == [0, 0, 0], (wanted, found)
    sums = [json.loads(end.out.splitlines()[-1]) for end in (wanted, *found)]
    assert sums[0] == sums[1] == sums[2]


def waited_for(run: Path, step: int, processes: list) -> None:
    """Until the run has logged a step."""

    def logged() -> bool:
        assert all(p.poll() is None for p in processes), "ended before it was stopped"
        rows = metrics_log.read(run / "metrics.jsonl")
        return any(row["step"] >= step for row in rows)

    until(logged)


@pytest.mark.parametrize(
    ("told", "number", "codes"),
    [(1, signal.SIGTERM, [42, 42]), (0, signal.SIGINT, [130, 42])],
)
def test_told_to_one_both_stop_at_the_same_step_and_one_goes_on(
    experiment: Path, tmp_path: Path, told: int, number: int, codes: list[int]
) -> None:
    run = tmp_path / "run"
    long = hosts.train(experiment, run, "train.steps=1000000", "train.save_every=2000")
    processes = hosts.pair(long)
    try:
        waited_for(run, 4, processes)
    finally:  # also where it fails: they end
        processes[told].send_signal(number)
        ends = hosts.ended(*processes)
    assert [end.code for end in ends] == codes, ends
    step = checkpoints.steps(run)[-1]
    assert f"stopped at step {step:,} of 1,000,000" in ends[0].out
    assert not (run / "lock").exists()

    if number == signal.SIGTERM:
        more = (f"train.steps={step + 2}", "--allow", "train.steps", "mesh.fsdp=1")
        end = hosts.alone(hosts.train(experiment, run, *more))
        assert end.code == 0, end
        assert f"going on at step {step:,}" in end.out
        assert checkpoints.steps(run)[-1] == step + 2


def test_hosts_that_were_told_different_things_do_not_begin(
    experiment: Path, tmp_path: Path
) -> None:
    ends = hosts.both(hosts.train(experiment, tmp_path / "run"), ["optim.lr=0.5"])
    assert [end.code for end in ends] == [2, 2], ends
    for end in ends:
        assert "the hosts do not agree" in end.err
        assert "config:" in end.err
    assert checkpoints.steps(tmp_path / "run") == []


def test_a_damaged_step_is_set_aside_by_both(
    experiment: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    """A file of arrays, which perhaps only one of them reads."""
    run = tmp_path / "run"
    shutil.copytree(trained[1], run)
    files_of = (run / "checkpoints" / "3" / "state").rglob("*")
    max(files_of, key=lambda p: p.stat().st_size).write_bytes(b"short")
    ends = hosts.both(hosts.train(experiment, run, *FEW))
    assert [end.code for end in ends] == [0, 0], ends
    assert "step 3 is damaged" in ends[0].err
    assert not any("Exception ignored" in end.err for end in ends)  # said once, by us
    assert checkpoints.steps(run) == [1, 2, 3]
    assert [p.name for p in (run / "quarantine").iterdir()] == ["3-0"]
