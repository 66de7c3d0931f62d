"""The loop around the training step: batches in, metrics, evaluations and saves out.

It owns no file and prints nothing: what it should do at each point comes in as
functions (`Outlets`). A step is dispatched before the metrics of the one before it are
fetched, so the device never waits for the log.
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
    """Too many steps in a row were not finite."""


@dataclass(frozen=True)
class Outlets:
    """Where a run's doings go. `rows_at(step)` is the batch of a step, [B, L+1]."""

    rows_at: Callable[[int], jax.Array]
    evaluate: Callable[[Any], Row | None]  # None: it was told to stop in the middle
    save: Callable[[State], None]
    log: Callable[[Row], None]
    report: Reporter = silent
    stop: Callable[[int], bool] = lambda step: False
    before: Callable[[int], None] = lambda step: None
    unsaved: Callable[[], None] = lambda: None  # from now on there is work to lose


@functools.cache
def step_function(run: RunConfig) -> Callable[[State, jax.Array], tuple[State, Any]]:
    """The compiled step of a run; it takes the buffers of the state it is given."""
    step = functools.partial(train_step, run)
    return jax.jit(step, donate_argnums=0)


def fit(run: RunConfig, state: State, outlets: Outlets, owed: bool = False) -> State:
    """Train from wherever the state is to the last step, or until told to stop. An
    evaluation is owed where the state was saved while it was under way."""
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
            watch.flush()  # a kill after the save must not lose the rows before it
            watch.aside(functools.partial(outlets.save, state))
            saved = done
    watch.flush()
    if saved < done:
        outlets.save(state)
    return state


class _Watch:
    """Turns the metrics of steps into rows, a progress line, and a verdict."""

    def __init__(self, run: RunConfig, outlets: Outlets):
        self.run, self.outlets = run, outlets
        self.pending: tuple[int, Any] | None = None
        self.validation = float("nan")
        self.tokens = run.train.batch * run.model.context
        self.marked: tuple[int, float] | None = None
        self.paused = 0.0  # seconds of evaluations and saves since the mark
        self.shown: tuple[int, Row, float] | None = None

    def step(self, done: int, metrics: Any) -> None:
        """Take in one step; look at the one before it."""
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
        """The step's line of progress waits for what the evaluation gives."""
        self.flush(tell=False)
        row = self.aside(functools.partial(self.outlets.evaluate, params))
        if row is None:
            return
        self.validation = row["validation_loss"]
        self.outlets.log({"step": done} | row)
        if self.shown:
            self.outlets.report(self._progress(*self.shown))

    def aside(self, do: Callable[[], T]) -> T:
        """What is no training, and does not count in its pace."""
        began = time.monotonic()
        found = do()
        self.paused += time.monotonic() - began
        return found

    def _rate(self, done: int) -> float:
        """Tokens per second of training since the mark."""
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
            f"{batches[0]} to {batches[-1]}); no parameter was changed by them. "
            "A smaller optim.lr, or float32 compute, may help"
        )
