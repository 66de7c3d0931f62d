"""The training loop: runs steps, and calls back to log, evaluate and save.

It opens no file and prints nothing: it calls functions (`Outlets`). A step is
dispatched before the metrics of the previous one are fetched, so that the device never
waits for the log.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np

from sparsetx.config import RunConfig
from sparsetx.model import mesh
from sparsetx.run.metrics_log import Row
from sparsetx.system.progress import Progress, Reporter, silent
from sparsetx.training.speed import Speed, Yardstick
from sparsetx.training.step import State, train_step

T = TypeVar("T")


class Diverged(RuntimeError):
    """Too many steps in a row had a loss or gradient that was not finite."""


@dataclass(frozen=True)
class Outlets:
    """Functions that the loop calls. `rows_at(step)`: the batch of a step, [B, L+1]."""

    rows_at: Callable[[int], jax.Array]
    evaluate: Callable[[Any], Row | None]  # None: told to stop meanwhile
    save: Callable[[State], None]
    log: Callable[[Row], None]
    report: Reporter = silent
    stop: Callable[[int], bool] = lambda step: False
    before: Callable[[int], None] = lambda step: None
    unsaved: Callable[[], None] = lambda: None  # called when there is unsaved work
    yardstick: Yardstick | None = None


@functools.cache
def step_function(
    run: RunConfig, platform: str | None = None
) -> Callable[[State, jax.Array], tuple[State, Any]]:
    """The compiled step of a run; it donates (reuses) the buffers of its state.
    `platform`: of its devices, if these are not attached."""
    step = functools.partial(train_step, run)
    options = mesh.compiler_options(platform)
    return jax.jit(step, donate_argnums=0, compiler_options=options)


def fit(run: RunConfig, state: State, outlets: Outlets, owed: bool = False) -> State:
    """Train from the state's step to the last one, or until told to stop. `owed`: first
    do the evaluation during which the run was stopped."""
    step = step_function(run)
    watch = _Watch(run, outlets)
    done = int(state.step)
    saved = done
    if owed:
        watch.evaluated(done, state.params)
    while done < run.train.steps and not outlets.stop(done):
        outlets.before(done)
        state, metrics = step(state, watch.rows_at(done))
        if done == saved:
            outlets.unsaved()
        done += 1
        watch.step(done, metrics)
        if done % run.train.eval_every == 0 or done == run.train.steps:
            watch.evaluated(done, state.params)
        if done % run.train.save_every == 0 and done < run.train.steps:
            watch.flush()  # the rows up to here must be written before the save
            watch.saved(functools.partial(outlets.save, state))
            saved = done
    watch.flush()
    if saved < done:
        outlets.save(state)
    return state


class _Watch:
    """Turns metrics of steps into rows and progress; raises if the run diverges."""

    def __init__(self, run: RunConfig, outlets: Outlets):
        self.run, self.outlets = run, outlets
        self.pending: tuple[int, Any] | None = None
        self.validation = float("nan")
        tokens = run.train.batch * run.model.context
        self.speed = Speed(tokens, outlets.yardstick)
        self.shown: tuple[int, Row, Row] | None = None

    def rows_at(self, step: int) -> jax.Array:
        began = time.monotonic()
        rows = self.outlets.rows_at(step)
        self.speed.waited += time.monotonic() - began
        return rows

    def step(self, done: int, metrics: Any) -> None:
        """Take the metrics of one step; process those of the step before it."""
        self.flush()
        self.pending = (done, metrics)

    def flush(self, tell: bool = True) -> None:
        if self.pending is None:
            return
        done, metrics = self.pending
        self.pending = None
        row = {name: float(value) for name, value in metrics.items()}
        self._judge(done, int(row.pop("bad")))
        self.speed.begin(done)
        speed = self.speed.row(done)
        self.shown = (done, row, speed)
        if tell:
            self.outlets.report(self._progress(*self.shown))
        if done % self.run.train.log_every == 0 or done == self.run.train.steps:
            self.outlets.log({"step": done} | row | speed)
            self.speed.set(done)

    def evaluated(self, done: int, params: Any) -> None:
        """Evaluate; then report the step's progress, with the validation loss."""
        self.flush(tell=False)
        row = self.aside(functools.partial(self.outlets.evaluate, params))
        if row is None:
            return
        self.validation = row["validation_loss"]
        self.outlets.log({"step": done} | row)
        if self.shown:
            self.outlets.report(self._progress(*self.shown))

    def saved(self, save: Callable[[], None]) -> None:
        """Save; the time that training stands still for it goes into the next row."""
        before = self.speed.paused
        self.aside(save)
        self.speed.saving += self.speed.paused - before

    def aside(self, do: Callable[[], T]) -> T:
        """Run something whose time does not count in tokens per second."""
        began = time.monotonic()
        found = do()
        self.speed.paused += time.monotonic() - began
        return found

    def _progress(self, done: int, row: Row, speed: Row) -> Progress:
        figures: dict[str, float | str] = {"loss": f"{row['loss']:.3f}"}
        if np.isfinite(self.validation):
            figures["validation"] = f"{self.validation:.3f}"
        figures |= {"kept": row["kept"], "lr": row["lr"], **self.speed.figures(speed)}
        return Progress("train", done, self.run.train.steps, "steps", figures)

    def _judge(self, done: int, bad: int) -> None:
        if bad < self.run.train.bad_steps:
            return
        batches = list(range(done - bad, done))
        self.outlets.log({"step": done, "bad_batches": batches})
        raise Diverged(
            f"{bad} steps in a row had a loss or gradient that is not finite (batches "
            f"{batches[0]} to {batches[-1]}); they changed no parameter. "
            "A smaller optim.lr, or float32 compute, may help"
        )
