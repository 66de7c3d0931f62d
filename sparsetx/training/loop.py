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
from sparsetx.run.metrics_log import Row
from sparsetx.system.progress import Progress, Reporter, silent
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


@functools.cache
def step_function(run: RunConfig) -> Callable[[State, jax.Array], tuple[State, Any]]:
    """The compiled step of a run; it donates (reuses) the buffers of its state."""
    step = functools.partial(train_step, run)
    return jax.jit(step, donate_argnums=0)


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
        state, metrics = step(state, outlets.rows_at(done))
        if done == saved:
            outlets.unsaved()
        done += 1
        watch.step(done, metrics)
        if done % run.train.eval_every == 0 or done == run.train.steps:
            watch.evaluated(done, state.params)
        if done % run.train.save_every == 0 and done < run.train.steps:
            watch.flush()  # the rows up to here must be written before the save
            watch.aside(functools.partial(outlets.save, state))
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
        self.tokens = run.train.batch * run.model.context
        self.marked: tuple[int, float] | None = None
        self.paused = 0.0  # seconds of evaluations and saves since the mark
        self.shown: tuple[int, Row, float] | None = None

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
        if self.marked is None:  # the first step compiles: the clock starts after it
            self.marked = (done, time.monotonic())
        rate = self._rate(done)
        self.shown = (done, row, rate)
        if tell:
            self.outlets.report(self._progress(*self.shown))
        if done % self.run.train.log_every == 0 or done == self.run.train.steps:
            speed = {"tokens_per_second": rate} if rate else {}
            self.outlets.log({"step": done} | row | speed)
            self.marked, self.paused = (done, time.monotonic()), 0.0

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

    def aside(self, do: Callable[[], T]) -> T:
        """Run something whose time does not count in tokens per second."""
        began = time.monotonic()
        found = do()
        self.paused += time.monotonic() - began
        return found

    def _rate(self, done: int) -> float:
        """Tokens per second of training since the last logged row."""
        if self.marked is None or done == self.marked[0]:
            return 0.0
        elapsed = time.monotonic() - self.marked[1] - self.paused
        return (done - self.marked[0]) * self.tokens / max(elapsed, 1e-9)

    def _progress(self, done: int, row: Row, rate: float) -> Progress:
        figures: dict[str, float | str] = {"loss": f"{row['loss']:.3f}"}
        if np.isfinite(self.validation):
            figures["validation"] = f"{self.validation:.3f}"
        figures |= {"kept": row["kept"], "lr": row["lr"]}
        if rate:
            figures["tokens/s"] = f"{rate:,.0f}"
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
