"""The clock of steps, and what it is held against."""

import time

import pytest

from sparsetx.run import metrics_log
from sparsetx.training.speed import Speed, Yardstick

YARD = Yardstick(peak=1e12, dense=5e9, nonzeros=lambda step: 1e8 * step, least=0.005)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_steps_are_timed_without_pauses(clock: list[float]) -> None:
    speed = Speed(1000, YARD)
    speed.begin(1)
    assert speed.row(1) == {}  # the first step only compiles
    clock[0] += 3.0
    speed.paused, speed.saving, speed.waited = 2.0, 0.5, 0.25
    row = speed.row(11)
    assert row["step_seconds"] == pytest.approx(0.1)
    assert row["tokens_per_second"] == pytest.approx(10_000)
    assert row["input_wait"] == pytest.approx(0.25)
    assert row["save_seconds"] == 0.5
    assert row["mfu"] == pytest.approx(5e9 / (0.1 * 1e12))
    assert row["mfu_nonzeros"] == pytest.approx(11e8 / (0.1 * 1e12))
    assert row.keys() <= metrics_log.TIMES
    speed.begin(11)  # it is set already
    assert speed.row(11)
    speed.set(11)
    assert speed.row(11) == {}
    clock[0] += 1.0
    assert "save_seconds" not in speed.row(12)


def test_the_line_has_what_is_possible_beside_what_is(clock: list[float]) -> None:
    speed = Speed(1000, YARD)
    speed.begin(0)
    clock[0] += 0.02
    told = speed.figures(speed.row(2))
    assert told == {
        "tokens/s": "100,000",
        "step": "10 ms (least 5)",
        "mfu": "50.0% (most 100.0%)",
        "of nonzeros": "2.00%",
        "input wait": "0.0%",
    }
    assert speed.figures({}) == {}


def test_where_the_peak_is_not_known_it_is_left_out(clock: list[float]) -> None:
    speed = Speed(1000, None)
    speed.begin(0)
    clock[0] += 1.0
    row = speed.row(1)
    assert set(row) == {"tokens_per_second", "step_seconds", "input_wait"}
    assert speed.figures(row) == {"tokens/s": "1,000"}
    blind = Speed(1000, Yardstick(1e12, 5e9, lambda step: 5e9))
    blind.begin(0)
    clock[0] += 1.0
    assert blind.figures(blind.row(1))["mfu"] == "0.5%"
