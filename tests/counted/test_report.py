"""Checks and output lines, on made-up figures."""

import dataclasses
from pathlib import Path

import pytest

from sparsetx.aot import cache, memory, report, roofline, topology
from sparsetx.aot.memory import Memory, TooLarge
from sparsetx.aot.operation_counts import Exchange, Tally, Work
from sparsetx.aot.program import Compiled
from sparsetx.aot.report import Found
from sparsetx.aot.settings import Setting
from sparsetx.config import MeshConfig, RunConfig

RUN = RunConfig()
HERE = topology.find("v5e-16")
TOKENS = RUN.train.batch * RUN.model.context
GIB = 2**30


def found(name: str = "train", share: float = 1.0, **changed: object) -> Found:
    """A program whose products are `share` of what they should be."""
    each = roofline.expected(RUN).training * TOKENS / 16 * share
    exchange = Exchange("all-reduce", 4, 2e6, 16, True, "e")
    tally = Tally([Work("w", 1, each, each, 0, 1e9)], [exchange])
    held = Memory(2 * GIB, 2 * GIB, 2 * GIB, 3 * GIB, GIB / 4, 5.25 * GIB)
    made = Compiled(name, 16, held, tally, 12.0, TOKENS, 2 * GIB)
    made = dataclasses.replace(made, **changed)  # type: ignore[arg-type]
    return Found("paper", RUN, HERE, made, 1.2, "somewhere, 2025-06")


def test_a_row_and_its_head() -> None:
    row = dict(zip(report.HEAD, report.cells(found()), strict=True))
    assert row["HBM GiB"] == "5.25"
    assert row["mesh"] == "16 x 1"
    assert row["/expected"] == "1.000"
    assert row["exchanged MB"] == "all-reduce 8 (4x)"
    assert row["compile s"] == "12"
    head, line, first = report.table([found()])
    assert len(head) == len(line) == len(first)


def test_a_table_needs_no_bill_for_what_is_no_training() -> None:
    row = dict(zip(report.HEAD, report.cells(found("prune")), strict=True))
    assert [row[k] for k in ("hours", "USD", "MFU", "/expected")] == ["-"] * 4


def test_details_and_costs_say_their_units() -> None:
    text = "\n".join([*report.details(found()), *report.costs(found())])
    for words in (
        "5.25 of 15.75 GiB a chip",
        "USD for 10^9 tokens",
        "M tokens/s",
        "MFU",
    ):
        assert words in text
    assert report.duration(71) == "71.0 hours"
    assert report.duration(240) == "10.0 days"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (found(share=0.85), "0.85 times the products"),
        (found(share=1.15), "1.15 times the products"),
        (found(tally=Tally(unknown=["while.3"])), "loops of unknown length"),
        (found(given=4 * GIB), "only 2.00 are reused"),
        (found("project"), "exchanges 2,000,000 bytes at once"),
        (
            found("project", tally=Tally(), memory=Memory(1, 1, 2 * GIB, 2, 0, 4)),
            "temporaries as large as two shards",
        ),
    ],
)
def test_what_is_wrong_is_said(one: Found, words: str) -> None:
    assert any(words in line for line in report.offences([one]))


def test_a_projection_that_takes_too_much_of_a_step() -> None:
    slow = found("project", tally=Tally([Work("w", 1, 0, 0, 0, 1e12)]))
    assert any("of a step" in line for line in report.offences([found(), slow]))
    assert not list(report.offences([found()]))


@pytest.mark.parametrize(
    "text",
    [
        "Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. Exceeded",
        "the total memory required for HLO temporaries (20.50G) exceeds available HBM "
        "(15.75G).",
    ],
)
def test_the_compiler_s_refusal_becomes_numbers(text: str) -> None:
    refused = pytest.raises(TooLarge, match=r"train: 20\.50 GiB of 15\.75 GiB")
    with refused as raised, memory.explained("train"):
        raise RuntimeError(f"RESOURCE_EXHAUSTED: {text}")
    assert (raised.value.used, raised.value.limit) == (20.5 * GIB, 15.75 * GIB)
    other = pytest.raises(RuntimeError, match="something else")
    with other, memory.explained("train"):
        raise RuntimeError("something else")


def test_what_was_compiled_is_kept(tmp_path: Path) -> None:
    made = cache.Made("HloModule m", Memory(1, 2, 3, 4, 5, 6), 7.0)
    asked = []

    def make() -> cache.Made:
        asked.append(1)
        return made

    assert cache.made("k", make, tmp_path) == made
    assert cache.made("k", make, tmp_path) == made
    assert len(asked) == 1
    (tmp_path / "k.json").write_text('{"text": "half')
    assert cache.made("k", make, tmp_path) == made
    (tmp_path / "k.json").write_text('{"text": "0", "memory": {}}')
    assert cache.made("k", make, tmp_path) == made
    assert len(asked) == 3


def test_settings_are_typed_as_they_are_named() -> None:
    setting = Setting(True, 4, 16)
    changed = setting.applied(RUN)
    assert setting.words == "model.remat=true train.accumulate=4 mesh.fsdp=16"
    assert Setting.of(changed) == setting
    assert changed.mesh == MeshConfig(None, 16)
    own = Setting.of(RUN)
    order = [Setting(False, 1, 2), Setting(False, 2, 1), Setting(True, 1, 1)]
    assert sorted(order, key=own.distance) == order[::-1]
