"""Races: who runs when, and what becomes of the times."""

from pathlib import Path

import pytest

from sparsetx.bench import opponent, timing
from sparsetx.bench.timing import Asked, Row, Took, race
from sparsetx.system.progress import Progress


def test_contestants_take_turns_there_and_back() -> None:
    ran: list[str] = []
    runs = {name: (lambda name=name: ran.append(name)) for name in "ab"}
    rows = race("letters", runs, rounds=3)
    assert "".join(ran) == "ab" + "ab" + "ba" + "ab"
    assert [(row.name, row.rounds) for row in rows] == [("a", 3), ("b", 3)]


def test_times_of_another_process_count_as_they_are() -> None:
    times = iter([9.0, 1.0, 2.0, 6.0])
    first, second = race(
        "there", {"a": lambda: Took(next(times)), "b": lambda: Took(4)}, rounds=3
    )
    assert (first.seconds, first.least, first.ratio) == (2.0, 1.0, 1.0)
    assert first.spread == pytest.approx(2.5 / 2)
    assert (second.seconds, second.ratio, second.spread) == (4.0, 2.0, 0.0)


def test_what_is_short_is_repeated_and_its_mean_counts() -> None:
    ran: list[int] = []

    def run() -> Took:
        ran.append(1)
        return Took(0.01)

    (row,) = race("short", {"a": run}, rounds=2, shortest=0.05)
    assert len(ran) == 1 + 1 + 2 * 5
    assert row.seconds == pytest.approx(0.01)


def test_every_turn_is_reported_before_it_begins() -> None:
    told: list[Progress] = []
    race("told", {"a": int, "b": int}, rounds=1, report=told.append)
    assert [one.done for one in told] == [0, 1, 2, 3]
    assert {(one.stage, one.total) for one in told} == {("told", 4)}
    assert [one.figures["now"] for one in told] == ["a", "b", "a", "b"]


def test_how_many_turns_is_asked_for() -> None:
    assert Asked().turns(9) == 9
    assert Asked(quick=True).turns(9) == 3
    assert Asked(quick=True).turns(1) == 1
    assert Asked(rounds=20, quick=True).turns(9) == 20


def test_others_are_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 0 900 0 0 0 0 0 0\n")
    later = "cpu  130 0 0 960 0 0 0 10 0 0\n"
    monkeypatch.setattr(timing, "STAT", stat)
    monkeypatch.setattr("time.sleep", lambda seconds: stat.write_text(later))
    seen = timing.others.__wrapped__()
    assert seen == pytest.approx(0.4)
    monkeypatch.setattr(timing, "STAT", tmp_path / "none")
    assert timing.others.__wrapped__() == 0


@pytest.mark.parametrize("used", [0.4, 0.0])
def test_a_busy_machine_is_told_of(
    used: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "others", lambda: used)
    said = timing.warning()
    assert (said or "").count("others use 40%") == (used > 0)
    patient = opponent.environment().get("OMP_WAIT_POLICY") == "PASSIVE"
    assert patient == (used > 0)


def test_time_per_element() -> None:
    assert Row("g", "n", 2e-3, 1, elements=1000).nanoseconds == pytest.approx(2000)
    assert Row("g", "n", 2e-3, 1).nanoseconds == 0
    assert timing.spread([1.0]) == 0
