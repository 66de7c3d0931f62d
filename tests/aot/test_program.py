"""The programs of a run, built as for a pod, compiled for eight devices of a CPU."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from sparsetx.aot import (
    cache,
    memory,
    program,
    report,
    roofline,
    settings,
    topology,
)
from sparsetx.aot.memory import TooLarge
from sparsetx.aot.report import Found
from sparsetx.aot.settings import Setting
from sparsetx.cli import main
from sparsetx.config import (
    MeshConfig,
    ModelConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.model import mesh
from sparsetx.system.errors import Refusal
from sparsetx.training import launch, loop

HERE = topology.find("v5e-8")
SHAPE = ModelConfig(
    vocab_size=64, context=32, n_layer=2, d_model=32, n_head=4, d_head=8, d_mlp=64
)
RUN = RunConfig(
    model=SHAPE,
    sparsity=SparsityConfig(block=1 / 4, embed=1 / 2),
    train=TrainConfig(steps=100, batch=16),
)
FILE = """
from sparsetx.config import *
def config():
    return RunConfig(
        model=ModelConfig(vocab_size=64, context=32, n_layer=2, d_model=32, n_head=4,
                          d_head=8, d_mlp=64),
        sparsity=SparsityConfig(block=1 / 4, embed=1 / 2),
        train=TrainConfig(steps=100, batch=16),
    )
"""


@pytest.fixture(autouse=True)
def a_pod_of_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a cache of its own."""
    monkeypatch.setattr(topology, "devices", lambda one: jax.devices()[: one.chips])
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")


def found(run: RunConfig, made: program.Compiled) -> Found:
    return Found("small", run, HERE, made, 1.0, "here")


@pytest.mark.parametrize(("remat", "parts", "fsdp"), [(True, 1, 4), (False, 2, 2)])
def test_the_step_does_what_the_configuration_says(
    remat: bool, parts: int, fsdp: int
) -> None:
    """All of it: matrices, attention, what remat repeats, parts of a batch in a loop;
    and it takes over the state that it is given, wherever that lies."""
    run = Setting(remat, parts, fsdp).applied(RUN)
    one = found(run, program.training(program.target(run, HERE)))
    assert one.agreement is not None
    assert abs(one.agreement - 1) < 0.1
    assert list(report.offences([one])) == []
    sums = one.program.tally.by_kind
    assert sum(size for size, _ in sums.values()) > 0


def test_what_the_compiler_lets_pass_is_held_against_the_memory_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(topology._AVAILABLE, "v5e", 1e-6)
    run = dataclasses.replace(RUN, model=dataclasses.replace(SHAPE, afrac=None))
    with pytest.raises(TooLarge, match=r"eval: 0\.00 GiB of 0\.00 GiB"):
        program.evaluation(program.target(run, HERE))


def test_a_batch_of_the_evaluation_asks_other_devices_for_its_means_only() -> None:
    """Loops of AbsTopK stop by each device's own rows: if they asked the others, there
    would be an exchange in every pass, hundreds of them."""
    one = found(RUN, program.evaluation(program.target(RUN, HERE)))
    assert one.agreement is not None
    assert abs(one.agreement - 1) < 0.1
    assert len(one.program.tally.bounded) == 24  # every one: none's turns are unknown
    assert one.program.tally.unknown == []
    asked = one.program.tally.by_kind
    assert sum(times for _, times in asked.values()) <= 4, asked


def test_the_projection_over_either_axis() -> None:
    """As in training, counts only; a matrix cut across its neurons also exchanges the
    largest of each neuron's weights, one after the other."""
    run = dataclasses.replace(RUN, mesh=MeshConfig(fsdp=8))
    on = program.target(run, HERE)
    own = program.projecting(on)
    assert own.memory.reused >= 0.95 * own.given
    across = [program.projecting(on, axis) for axis in (0, 1)]
    for each in (own, *across):
        assert 0 < each.tally.largest <= report.LARGEST
    alive = run.sparsity.alive
    times = [{one.times for one in each.tally.exchanges} for each in (own, *across)]
    assert [alive in each for each in times] == [False, True, True]


def test_the_search_of_one_host_exchanges_nothing() -> None:
    """A lane for each of its devices. Without AbsTopK, which is most of what would be
    compiled."""
    run = dataclasses.replace(RUN, model=dataclasses.replace(SHAPE, afrac=None))
    made = program.prune(run, HERE, length=8)
    assert made.tally.exchanges == []
    assert made.tally.unknown == []
    assert made.note.startswith("1 lanes a chip of a host of 8, 25 steps of 64 x 8")
    assert made.tokens == 8 * 25 * 64 * 8
    matrices = 12 * 32**2 * SHAPE.n_layer
    # 2 forwards and 2 back to the mask in the first layer; of the second, keys and
    # values: elsewhere it is only computed where the answer is read.
    assert 2 < made.tally.products * 8 / (made.tokens * matrices) < 2.4


def test_one_that_fits_is_looked_for_from_the_nearest_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a compiler that refuses accumulate=1."""
    asked: list[Setting] = []

    def training(on: program.Target) -> Any:
        asked.append(Setting.of(on.config))
        if on.config.train.accumulate == 1:
            raise TooLarge("train", 2e9, 1e9)
        return made

    told: list[str] = []
    made = program.training(program.target(RUN, HERE))
    monkeypatch.setattr(program, "training", training)
    monkeypatch.setattr(program, "target", _target)
    assert settings.fitting(RUN, HERE, told.append) == Setting(False, 2, 1)
    assert asked[0] == Setting(True, 1, 1)
    assert "model.remat=true" in told[0]
    assert "more than there is" in told[0]
    best = settings.best(RUN, HERE, told.append)
    assert best.accumulate == 2
    monkeypatch.setattr(settings, "compiled", lambda *args: None)
    assert settings.fitting(RUN, HERE, told.append) is None
    with pytest.raises(Refusal, match="wanted a larger slice, or a smaller model"):
        settings.best(RUN, HERE, told.append)


def _target(config: RunConfig, here: topology.Slice) -> Any:
    devices = jax.sharding.Mesh(jax.devices(), ("x",))
    return program.Target(here, config, devices)


def test_settings_that_cannot_be_are_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = list(settings.possible(RUN, HERE))
    assert {s.fsdp for s in every} == {1, 2, 4, 8}
    assert {s.accumulate for s in every} == {1, 2}  # 16 sequences, 8 chips
    least = settings.least(RUN, HERE, 2) / topology.GIB * 1.01
    monkeypatch.setitem(topology._AVAILABLE, "v5e", least)
    assert {s.fsdp for s in settings.possible(RUN, HERE)} == {2, 4, 8}


def test_the_widest_cut_that_is_good() -> None:
    assert settings.widest(RUN, HERE) == 8
    pod = topology.find("v5e-256")
    assert settings.widest(RUN, pod) == 32  # channels
    wide = dataclasses.replace(RUN, model=ModelConfig())
    assert settings.widest(wide, pod) == settings.WIDEST


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    (tmp_path / "small.py").write_text(FILE)
    return str(tmp_path / "small.py")


def test_the_command(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--topology", "v5e-8", "--programs", "train"]
    changes = ["--remat", "on", "--accumulate", "2", "--mesh", "fsdp=2"]
    assert main.main(["aot", experiment, *words, *changes]) == 0
    out, err = capsys.readouterr()
    assert "data 4 x fsdp 2; 16 x 32 tokens a step in 2 parts, 64 a chip" in out
    assert "remat on, float32" in out
    assert "1.20 USD per chip and hour" in out
    assert "compiling train" in err
    assert main.main(["aot", experiment, *words, *changes, "--price", "9"]) == 0
    assert "9.00 USD per chip and hour (--price)" in capsys.readouterr().out


def test_the_command_where_nothing_fits(
    experiment: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_large(on: Any) -> Any:
        raise memory.TooLarge("train", 2e9, 1e9)

    monkeypatch.setattr(program, "training", too_large)
    assert main.main(["aot", experiment, "--topology", "v5e-8", "--table"]) == 1
    out = capsys.readouterr().out
    assert "DOES NOT FIT: small, train: 1.86 GiB of 0.93 GiB a chip on v5e-8" in out
    assert "take a larger slice" in out


def limited(monkeypatch: pytest.MonkeyPatch, which: str, fits: Any) -> None:
    """A program that fits only where `fits` says so of what it is made with."""
    made = getattr(program, which)

    def one(*words: Any) -> Any:
        if not fits(*words):
            raise memory.TooLarge(which, 2e9, 1e9)
        return made(*words)

    monkeypatch.setattr(program, which, one)


@pytest.mark.parametrize("which", ["eval", "project"])
def test_advice_for_what_has_only_fsdp(
    which: str,
    experiment: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = {"eval": "evaluation", "project": "projecting"}[which]
    limited(monkeypatch, name, lambda on: on.config.mesh.fsdp >= 4)
    words = ["aot", experiment, "--topology", "v5e-8", "--programs", which]
    assert main.main(words) == 1
    out, err = capsys.readouterr()
    assert f"{which}: the nearest setting that fits: mesh.fsdp=4\n" in out
    assert "tried mesh.fsdp=2: 1.86 GiB, more than there is" in err
    main.main([*words, "--mesh", "fsdp=8"])
    assert "DOES NOT FIT" not in capsys.readouterr().out
    limited(monkeypatch, name, lambda on: False)
    assert main.main(words) == 1
    wanted = f"{which}: none of the settings tried (fsdp) fits: take a larger slice\n"
    assert wanted in capsys.readouterr().out


def test_advice_for_a_search(
    experiment: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fits(config: Any, here: Any, length: int, pairs: int | None = None) -> bool:
        return pairs == 8 and length == 16

    limited(monkeypatch, "prune", fits)
    words = ["aot", experiment, "--topology", "v5e-8", "--programs", "prune"]
    assert main.main(words) == 1
    out, err = capsys.readouterr()
    assert "prune: the nearest setting that fits: --pairs 8 --length 16\n" in out
    tried = [line.partition(":")[0] for line in err.splitlines() if "tried" in line]
    assert [line.split()[2] for line in tried] == ["16", "16", "8"]


def test_the_step_of_devices_that_are_there_is_compiled_once() -> None:
    """What it is counted from is what the loop then runs."""
    compiled: list[str] = []

    def heard(name: str, *_: Any, **__: Any) -> None:
        if name.endswith("backend_compile_duration"):
            compiled.append(name)

    devices = mesh.make(MeshConfig(), 16, jax.devices())
    loop.step_function.cache_clear()
    where = mesh.batch_sharding(devices)
    rows = jax.device_put(np.zeros((16, SHAPE.context + 1), np.int32), where)
    state = launch.first_state(RUN, None, devices)  # type: ignore[arg-type]
    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        tally = program.attached(RUN, devices)
        once = len(compiled)
        with jax.set_mesh(devices):
            jax.block_until_ready(loop.step_function(RUN)(state, rows))
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert once >= 1
    assert len(compiled) == once
    tokens = 16 * SHAPE.context
    wanted = roofline.expected(RUN).training * tokens
    assert tally.products * devices.size == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mesh", "tensor=2"], "--mesh: wanted data=N,fsdp=N"),
        (["--programs", "train,bridge"], "bridge: wanted some of train"),
        (["--mesh", "data=4"], "does not fit 8 devices"),
    ],
)
def test_bad_words(
    experiment: str,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["aot", experiment, "--topology", "v5e-8", *words]) == 2
    assert message in capsys.readouterr().err
