"""`sparsetx aot`: tables, programs that do not fit, stopping while it compiles."""

import re
import signal
import time
from pathlib import Path

import pytest

from sparsetx.aot import settings, topology
from sparsetx.cli import experiment, main
from tests.faults import hosts
from tests.house import ROOT

TINY = str(ROOT / "experiments" / "tiny.py")
PAPER = str(ROOT / "experiments" / "paper_4x.py")
SOON = 5.0  # seconds


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--topology", "v5e-4", "--programs", "train,eval", "--table"]
    assert main.main(["aot", TINY, *words, "--price", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert [row[3] for row in cells[2:]] == ["train", "eval"]
    head = {name: i for i, name in enumerate(cells[0])}
    train = cells[2]
    assert 0.9 < float(train[head["/expected"]]) < 1.1
    assert "all-reduce" in train[head["exchanged MB"]]
    hours = float(train[head["step ms"]].replace(",", "")) / 1e3 * 300 / 3600
    assert float(train[head["USD"]]) == round(hours * 4 * 0.5)


def test_what_does_not_fit_gets_the_nearest_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A batch whose activations are too many for a chip, but not with remat."""
    words = ["--topology", "v5e-1", "--programs", "train,project"]
    words += ["--set", "train.batch=16384"]
    assert main.main(["aot", TINY, *words]) == 1
    text = capsys.readouterr().out
    assert re.search(r"blocks/fc/w +2 x 64 x 256 +- x - x - +0\.13 +0\.13", text)
    assert "DOES NOT FIT: tiny, train: " in text
    assert "project: compiled in" in text  # the others are told all the same
    assert "the nearest setting that fits: model.remat=true" in text


def test_a_model_that_is_too_large_for_a_slice_is_not_even_compiled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its state alone is more than there is."""
    run = experiment.load(str(ROOT / "experiments" / "paper_16x.py"))
    v5e = topology.find("v5e-1")
    assert list(settings.possible(run, v5e)) == []
    assert settings.least(run, v5e, 1) > v5e.hbm
    sixteen = topology.find("v5e-16")
    whole, cut = (settings.least(run, sixteen, n) for n in (1, 16))
    assert whole > 15 * cut


def test_the_best_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Of those tried, the one with the shortest step."""
    words = ["--topology", "v5e-4", "--programs", "train", "--search"]
    assert main.main(["aot", TINY, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    tried = {
        line.removeprefix("  tried ").partition(":")[0]: float(line.split()[-4])
        for line in lines
        if line.startswith("  tried")
    }
    (best,) = [line for line in lines if line.startswith("  best of these: ")]
    assert len(tried) >= 2
    assert best.removeprefix("  best of these: ") == min(tried, key=tried.__getitem__)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)]
)
def test_told_to_stop_while_the_compiler_works(number: int, code: int) -> None:
    """The compiler delays Python's signal handlers; a thread handles the signal."""
    changed = f"train.steps={time.time_ns() % 10**9 + 1000}"  # never compiled before
    words = ["aot", PAPER, "--topology", "v5e-16", "--programs", "train"]
    process = hosts.started(
        [*hosts.CLI, *words, "--set", changed], hosts.environment(1)
    )
    try:
        assert process.stderr is not None
        while "compiling train" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(12)  # traced and lowered by now, and the compiler at it
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(number)
        end = hosts.ended(process)[0]
        assert end.code == code, end
        assert time.monotonic() - began < SOON
    finally:
        hosts.kill_those_left()


def test_nothing_half_written_is_left() -> None:
    left = [p.name for p in Path(".cache/aot").glob("*") if p.name.startswith(".")]
    assert left == []
