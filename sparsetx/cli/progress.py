"""The reporter of the command line: shows progress as one line, with the time left."""

import sys
import time
from typing import TextIO

from sparsetx.system.progress import Progress


def clock(seconds: float) -> str:
    """Seconds as 42s, 7m05s or 3h20m."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class ProgressLine:
    """A Reporter. Redraws one line on a terminal; writes a log a line every 10 seconds.

    The time left assumes the mean rate since the stage began: early estimates are
    inaccurate, but later ones do not change with every pause.
    """

    def __init__(self, stream: TextIO | None = None, every: float | None = None):
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.every = every if every is not None else (0.2 if self.live else 10.0)
        self.stage = ""
        self.began = self.shown = self.first = 0.0
        self.width = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self.stage:
            self.close()
            self.stage, self.began, self.first = progress.stage, now, progress.done
            self.shown = now if not self.live else 0.0
        finished = progress.done >= progress.total
        if now - self.shown < self.every and not finished:
            return
        self.shown = now
        self._write(self._line(progress, now - self.began))
        if finished:
            self.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the last stage began."""
        return time.monotonic() - self.began

    def _line(self, progress: Progress, elapsed: float) -> str:
        done, total = progress.done, progress.total
        parts = [f"{progress.stage}: {done:,.0f}/{total:,.0f} {progress.unit}"]
        parts.append(f"{100 * done / total:.0f}%" if total else "100%")
        parts += [
            f"{name} {value if isinstance(value, str) else format(value, '.4g')}"
            for name, value in progress.figures.items()
        ]
        rate = (done - self.first) / elapsed if elapsed > 0 else 0.0
        if done >= total:
            parts.append(f"in {clock(elapsed)}")
        elif rate > 0:
            parts.append(f"ETA {clock((total - done) / rate)}")
        return "  ".join(parts)

    def _write(self, line: str) -> None:
        if self.live:
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def close(self) -> None:
        """End the current line, so that what is printed next starts a new one."""
        if self.live and self.width:
            self.stream.write("\n")
            self.stream.flush()
        self.stage, self.width = "", 0
