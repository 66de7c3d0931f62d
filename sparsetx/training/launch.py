"""Start or resume a training run: open data, devices, state, checkpoints and logs.

It connects the parts of training: `loop.py` is the loop and `step.py` the step. It
prints nothing: progress and notices go to functions that the caller passes.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sparsetx import model, projection
from sparsetx.config import RunConfig
from sparsetx.data import token_files
from sparsetx.data.batches import Feed, open_data
from sparsetx.model import mesh, parameters
from sparsetx.run import METRICS, metrics_log, provenance
from sparsetx.run.checkpoints import Checkpoints
from sparsetx.run.checkpoints import steps as saved_steps
from sparsetx.run.metrics_log import Row
from sparsetx.system import files, hosts, lock
from sparsetx.system.progress import Reporter, silent
from sparsetx.system.signals import Stop
from sparsetx.training import loop, profile
from sparsetx.training.speed import Yardstick
from sparsetx.training.step import State, as_tree, eval_step, from_tree, init_state

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Launch:
    """A run that is ready to train, with all that `train` needs."""

    config: RunConfig
    path: Path
    devices: Mesh
    feed: Feed
    state: State
    checkpoints: Checkpoints
    facts: dict[str, Any]

    @property
    def step(self) -> int:
        """The first step: 0, or the step that the run resumes from."""
        return int(self.state.step)

    def train(
        self, stop: Stop, report: Reporter = silent, yardstick: Yardstick | None = None
    ) -> State:
        """Train to the last step or until stopped; the state is saved in both cases."""
        first = self.step
        with (
            sinks(self.config, self.path, first) as rows,
            jax.set_mesh(self.devices),
        ):
            evaluate = evaluation(self.config, self.feed, stop)
            evaluate(self.state.params, warm=True)
            outlets = loop.Outlets(
                rows_at=self.feed.ahead(first, self.config.train.steps),
                evaluate=evaluate,
                save=functools.partial(self._save, rows),
                log=rows,
                report=report if hosts.is_first_host() else silent,
                stop=functools.partial(hosts.told, stop),
                before=self._before,
                unsaved=functools.partial(setattr, stop, "unsaved", True),
                yardstick=yardstick,
            )
            state = loop.fit(self.config, self.state, outlets, self._owes_evaluation())
            self.checkpoints.wait()
            stop.unsaved = False
            profile.after(self.config, self.path, first, int(state.step))
            return state

    def _owes_evaluation(self) -> bool:
        """Whether the run stopped during an evaluation, which is then done first."""
        step = self.step
        every, last = self.config.train.eval_every, self.config.train.steps
        if not step or (step % every and step < last):
            return False
        rows = metrics_log.read(self.path / METRICS)
        return not any(r["step"] == step and "validation_loss" in r for r in rows)

    def _before(self, step: int) -> None:
        """Called before a step: end here if the last save has failed meanwhile."""
        self.checkpoints.check()
        profile.before(self.config, self.path, step)

    def _save(self, rows: "Rows", state: State) -> None:
        rows.flush()  # first: rows after the saved step are dropped on resume
        self.checkpoints.save(int(state.step), as_tree(state), self.facts)


@contextlib.contextmanager
def opened(
    config: RunConfig,
    path: Path,
    allow: Sequence[str] = (),
    report: Reporter = silent,
    notice: Notice = lambda text: None,
    patient: bool = True,
) -> Iterator[Launch]:
    """A new run at the path, or the existing one at its last saved step. `patient` is
    that of its lock.

    Resuming refuses a configuration that would change what the run computes, unless the
    changed keys are in `allow`.
    """
    parts = config.train.batch // config.train.accumulate
    devices = mesh.make(config.mesh, parts)
    first = hosts.is_first_host()
    with lock.held(path, patient) if first else contextlib.nullcontext():
        provenance.check_resume(config, path, allow)
        data = open_data(config, report, provenance.data_fingerprint(path, allow))
        feed = Feed.of(config, data, mesh.batch_sharding(devices))
        facts = provenance.facts(config, data)
        hosts.agree(facts)
        checkpoints = Checkpoints(path, config.train.keep_last, config.train.keep_every)
        try:
            state = resumed(config, devices, checkpoints, notice)
            state = state or first_state(config, data, devices)
            if first:
                check_room(config, path, state)
            if first:
                provenance.record(config, path, data, facts, int(state.step))
            hosts.wait_for_all("recorded")
            yield Launch(config, path, devices, feed, state, checkpoints, facts)
        finally:
            checkpoints.close()


def check_room(config: RunConfig, path: Path, state: State) -> None:
    """Refuse to start if the disk has no room for all checkpoints kept at one time."""
    one = sum(x.nbytes for x in jax.tree.leaves(as_tree(state)))
    there = min(len(saved_steps(path)), config.train.keep_last)
    files.check_room(path, one * (config.train.keep_last + 1 - there))


def first_state(config: RunConfig, data: token_files.Prepared, devices: Mesh) -> State:
    """The state at step 0, created sharded: no device ever holds more than its part."""
    table = None
    if config.model.bigram == "counts":
        counts = token_files.bigram_counts(data.split("train"), config.model.vocab_size)
        table = model.bigram_from_counts(jnp.asarray(counts, jnp.float32))
    make, key = functools.partial(_make, config), jax.random.key(config.seed)
    where = mesh.tree_shardings(devices, config.model, jax.eval_shape(make, key, table))
    state: State = jax.jit(make, out_shardings=where)(key, table)
    return state


def resumed(
    config: RunConfig, devices: Mesh, checkpoints: Checkpoints, notice: Notice
) -> State | None:
    """The last undamaged saved state, on these devices; None if there is none."""
    like = state_shapes(config, devices)
    tree = checkpoints.resume(as_tree(like), notice)
    return None if tree is None else from_tree(like, tree)


def state_shapes(config: RunConfig, devices: Mesh) -> State:
    """The state without its values: shapes, types and shardings."""
    table = None
    if config.model.bigram == "counts":
        wide = config.model.vocab_size
        table = jax.ShapeDtypeStruct((wide, wide), jnp.float32)
    make = functools.partial(_make, config)
    shapes = jax.eval_shape(make, jax.random.key(0), table)
    where = mesh.tree_shardings(devices, config.model, shapes)
    found: State = mesh.with_sharding(shapes, where)
    return found


def _make(config: RunConfig, key: jax.Array, table: jax.Array | None) -> State:
    return init_state(config, model.init(config.model, key, table))


@functools.cache
def eval_function(
    config: RunConfig, platform: str | None = None
) -> Callable[..., dict[str, jax.Array]]:
    """The compiled evaluation of a batch; `platform` as in `loop.step_function`."""
    options = mesh.compiler_options(platform)
    return jax.jit(functools.partial(eval_step, config), compiler_options=options)


def evaluation(config: RunConfig, feed: Feed, stop: Stop) -> Callable[..., Row | None]:
    """A function: means over the same held-out batches every time; None if told to stop
    meanwhile. `warm` only compiles it, before a signal could lose any work."""
    one = eval_function(config)
    alone = (
        jax.process_count() == 1
    )  # several hosts stop only at a step that they agree on

    def evaluate(params: Any, warm: bool = False) -> Row | None:
        rows = []
        for batch in feed.held_out():
            rows.append(one(params, batch))
            if warm or (alone and stop):
                return None
        return {
            name: float(np.mean([float(r[name]) for r in rows])) for name in rows[0]
        }

    return evaluate


@contextlib.contextmanager
def sinks(config: RunConfig, path: Path, step: int) -> Iterator["Rows"]:
    """Open what rows of metrics are written to: the run's file, TensorBoard, W&B."""
    asked: list[Any] = []
    if hosts.is_first_host():
        asked.append(metrics_log.Log(path / METRICS, step))
        if config.train.tensorboard:
            asked.append(metrics_log.TensorBoard(beside(path) / "tensorboard"))
        if config.train.wandb:
            asked.append(metrics_log.WandB(config.train.wandb, path.name))
    try:
        yield Rows(asked)
    finally:
        for sink in asked:
            sink.close()


@dataclass(frozen=True)
class Rows:
    """All sinks of rows, used as one."""

    sinks: Sequence[Any]

    def __call__(self, row: Row) -> None:
        for sink in self.sinks:
            sink(row)

    def flush(self) -> None:
        for sink in self.sinks:
            sink.flush()


def beside(path: Path) -> Path:
    """Where libraries write that cannot use an object store: the run's folder, or a
    local folder of its name."""
    return Path("runs") / path.name if files.is_remote(path) else path


@dataclass(frozen=True)
class Described:
    """One parameter of a run, for the table that `sparsetx train` prints."""

    name: str
    shape: tuple[int, ...]
    sharding: str
    bytes: int  # of the whole array
    parts: int  # number of shards
    kept: float  # final fraction of its entries


def described(config: RunConfig, devices: Mesh) -> list[Described]:
    """A row for every parameter."""
    kept = {b.parameter.path: b.fraction for b in projection.budgets(config)}
    rows = []
    for parameter in parameters.table(config.model):
        shape = parameters.full_shape(config.model, parameter)
        spec = mesh.parameter_spec(devices, parameter)
        cuts = [str(axis) if axis else "-" for axis in spec]
        size = 4 * int(np.prod(shape))
        parts = int(np.prod([devices.shape[axis] for axis in spec if axis]))
        rows.append(
            Described(
                parameter.name, shape, " x ".join(cuts), size, parts,
                kept.get(parameter.path, 1.0),
            )
        )  # fmt: skip
    return rows
