"""The progress line: redrawn on a terminal, every 10 s in a log, with the time left."""

import io

import pytest

from sparsetx.cli import progress
from sparsetx.cli.progress import ProgressLine, clock
from sparsetx.system.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def step(done: float, stage: str = "train") -> Progress:
    return Progress(stage, done, 100, "steps", {"loss": 1.25, "host": "a"})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (59, "59s"), (425, "7m05s"), (12000, "3h20m")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_log_gets_a_line_now_and_then(now: list[float]) -> None:
    out = io.StringIO()
    line = ProgressLine(out)
    for done in range(0, 101, 5):
        line(step(done))
        now[0] += 4
    lines = out.getvalue().splitlines()
    assert 5 < len(lines) < 10  # every ten seconds of eighty, and the last
    assert lines[0] == "train: 15/100 steps  15%  loss 1.25  host a  ETA 1m08s"
    assert lines[-1].startswith("train: 100/100 steps  100%")
    assert lines[-1].endswith("in 1m20s")


def test_a_terminal_gets_one_line_redrawn(now: list[float]) -> None:
    out = Terminal()
    line = ProgressLine(out)
    for done in (0, 1, 50, 100):
        line(step(done))
        now[0] += 1
    text = out.getvalue()
    assert text.count("\r") == 4
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_a_new_stage_has_its_own_line_and_clock(now: list[float]) -> None:
    out = Terminal()
    line = ProgressLine(out)
    line(step(10))
    now[0] += 50
    line(step(0, "eval"))
    now[0] += 10
    line(step(50, "eval"))
    line.close()
    first, second, end = out.getvalue().split("\n")
    assert "train" in first
    assert "ETA 10s" in second
    assert end == ""


def test_a_resumed_stage_is_not_rated_by_what_was_done_before(now: list[float]) -> None:
    out = io.StringIO()
    line = ProgressLine(out, every=0)
    line(step(90))
    now[0] += 10
    line(step(95))
    assert out.getvalue().splitlines()[-1].endswith("ETA 10s")


def test_an_empty_stage() -> None:
    out = io.StringIO()
    ProgressLine(out, every=0)(Progress("x", 0, 0, "rows"))
    assert "100%" in out.getvalue()
