"""How fast a run trains, and what it is held against.

MFU is the share of the devices' peak that the model's own products take: of weights and
of attention, forwards and twice backwards; what is done twice does not count. Of
nonzeros: only the entries of each matrix that are kept. Both are left out where the
devices' peak is not known, as on a CPU.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sparsetx.run.metrics_log import Row


@dataclass(frozen=True)
class Yardstick:
    """What a step of a run needs, and what its devices can do."""

    peak: float  # bfloat16 operations per second of all devices together
    dense: float  # operations of a step
    nonzeros: Callable[[int], float]  # of which of entries that a step keeps
    least: float | None = None  # seconds of a step that the compiled program needs


class Speed:
    """A clock of the steps since it was last set; the first step only compiles."""

    def __init__(self, tokens: int, yardstick: Yardstick | None) -> None:
        self.tokens, self.yardstick = tokens, yardstick
        self.marked: tuple[int, float] | None = None
        self.paused = 0.0  # seconds of evaluations and saves
        self.saving = 0.0  # of which of saves
        self.waited = 0.0  # seconds in which the loop waited for batches

    def begin(self, done: int) -> None:
        """Set the clock, if it is not: after the first step."""
        if self.marked is None:
            self.set(done)

    def set(self, done: int) -> None:
        self.marked = (done, time.monotonic())
        self.paused = self.saving = self.waited = 0.0

    def row(self, done: int) -> Row:
        """Metrics of the steps since the clock was set; none of no steps."""
        if self.marked is None or done <= self.marked[0]:
            return {}
        steps = done - self.marked[0]
        elapsed = max(time.monotonic() - self.marked[1] - self.paused, 1e-9)
        each = elapsed / steps
        found = {
            "tokens_per_second": self.tokens / each,
            "step_seconds": each,
            "input_wait": min(1.0, self.waited / elapsed),
        }
        if self.saving:
            found["save_seconds"] = self.saving
        if self.yardstick is not None:
            rate = each * self.yardstick.peak
            found["mfu"] = self.yardstick.dense / rate
            found["mfu_nonzeros"] = self.yardstick.nonzeros(done) / rate
        return found

    def figures(self, row: Row) -> dict[str, str]:
        """For the line of progress: beside each, what aot says is possible."""
        if not row:
            return {}
        found = {"tokens/s": f"{row['tokens_per_second']:,.0f}"}
        yard = self.yardstick
        if yard is None:
            return found
        step = f"{1e3 * row['step_seconds']:,.4g} ms"
        mfu = f"{row['mfu']:.1%}"
        if yard.least:
            step += f" (least {1e3 * yard.least:,.4g})"
            mfu += f" (most {yard.dense / yard.peak / yard.least:.1%})"
        found |= {"step": step, "mfu": mfu}
        found["of nonzeros"] = f"{row['mfu_nonzeros']:.2%}"
        return found | {"input wait": f"{row['input_wait']:.1%}"}
