"""The babysitter, against a cloud that takes machines away."""

import os
import signal

import pytest

from tests.tpu.cloud import FAKES, GOLDEN, READY, Cloud, ended

LOST = ("ACTIVE:PREEMPTED", "SUSPENDED")


def test_the_story(cloud: Cloud) -> None:
    """Queued, up, preempted, gone, up again, an ssh that fails, told to stop, done.

    The golden file is what gcloud was told. Where it differs, read the two side by
    side: it is right to change it if every new line is one that you would type.
    """
    cloud.plan(1, "WAITING_FOR_RESOURCES", "PROVISIONING", *[READY] * 3, *LOST)
    cloud.plan(2, "WAITING_FOR_RESOURCES", "GONE")
    cloud.plan(3, "ACCEPTED", READY)
    cloud.unit(2, "1 42")
    cloud.unit(3, "1 0")
    (cloud.folder / "bad-calls").write_text("8\n10\n")
    end = cloud.run("babysit", "train", "train.steps=100")
    assert end.code == 0, end.err
    assert "babysit: done" in end.err
    assert cloud.left() == []
    golden = GOLDEN / "babysit.txt"
    assert cloud.log == golden.read_text().splitlines()


@pytest.mark.parametrize("failure", ["1", "2"])
def test_what_would_fail_again_is_not_started_again(cloud: Cloud, failure: str) -> None:
    cloud.unit(1, "1 134", f"1 {failure}")
    end = cloud.run("babysit", "train")
    assert end.code == 1
    assert (
        f"a worker ended with {failure}, which another start would not help" in end.err
    )
    assert "ending with 134" in end.out  # the end of every worker's log is shown
    assert cloud.left() == []


def test_starts_that_save_nothing_end(cloud: Cloud) -> None:
    (cloud.folder / "stuck").touch()
    for number in range(1, 6):
        cloud.unit(number, "0 137")
    end = cloud.run("babysit", "train", RESTARTS="2", POLL="1", WORKERS="1")
    assert end.code == 1
    assert "gave up: 2 starts, and nothing new saved" in end.err
    assert (cloud.folder / "count-unit0").read_text() == "3\n"
    assert cloud.clock() >= 30 + 60  # it waited longer the second time
    assert cloud.left() == []


def test_starts_that_save_something_may_be_many(cloud: Cloud) -> None:
    for number in (1, 2):
        cloud.unit(number, "0 42")
    cloud.unit(3, "0 0")
    end = cloud.run("babysit", "train", RESTARTS="1", WORKERS="1")
    assert end.code == 0, end.err
    assert cloud.left() == []


def test_the_most_that_it_may_cost(cloud: Cloud) -> None:
    end = cloud.run("babysit", "train", MAX_USD="9.60", POLL="1800", WORKERS="1")
    assert end.code == 1
    assert "MAX_USD=9.60 is reached" in end.err
    assert "about 9.60 USD" in end.err  # an hour of eight chips at 1.20
    assert cloud.clock() == 3600
    assert "w0 ended 42 | saved" in end.out  # nothing is lost
    assert cloud.left() == []


def test_what_it_may_cost_counts_what_calls_before_have_spent(cloud: Cloud) -> None:
    first = cloud.run("babysit", "train", MAX_USD="9.60", POLL="1800", WORKERS="1")
    assert "MAX_USD=9.60 is reached" in first.err
    assert (cloud.folder / "spent").read_text() == f"9.60 {1770000000 + 3600}\n"
    cloud.plan(2, READY)
    more = {"MAX_USD": "14.40", "POLL": "1800", "WORKERS": "1"}
    second = cloud.run("babysit", "train", **more)
    assert "babysit: 9.60 USD so far" in second.err
    assert "MAX_USD=14.40 is reached" in second.err
    assert (cloud.folder / "spent").read_text() == f"14.40 {1770000000 + 5400}\n"
    third = cloud.run("babysit", "train", **more)
    assert third.code == 1  # nothing is left to spend
    assert sum(" create " in line for line in cloud.log) == 2
    assert cloud.left() == []


def test_a_machine_that_nobody_looked_after_has_cost_money(cloud: Cloud) -> None:
    """A babysitter is killed, which gives nothing back; another comes an hour later."""
    process = cloud.begun(
        "babysit",
        "train",
        when=(cloud.folder / "worker0" / "words").exists,
        WORKERS="1",
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert cloud.left()
    clock = cloud.folder / "clock"
    clock.write_text(f"{int(clock.read_text()) + 3600}\n")
    end = cloud.run("babysit", "train", MAX_USD="9.60", WORKERS="1")
    assert "MAX_USD=9.60 is reached" in end.err
    assert cloud.left() == []


def test_time_before_the_machine_was_asked_for_is_not_paid(cloud: Cloud) -> None:
    (cloud.folder / "spent").write_text("1.00 1760000000\n")
    (cloud.folder / "created").write_text("2026-02-02T02:40:00Z\n")  # it is so now
    assert cloud.run("create").code == 0
    cloud.unit(1, "0 0")
    end = cloud.run("babysit", "train", MAX_USD="9.60", WORKERS="1")
    assert end.code == 0, end.err
    assert float((cloud.folder / "spent").read_text().split()[0]) < 2.0


def test_an_account_that_cannot_be_read_is_no_empty_one(cloud: Cloud) -> None:
    (cloud.folder / "store-is-away").touch()
    end = cloud.run("babysit", "train", MAX_USD="9.60")
    assert (end.code, "has cost so far cannot be read" in end.err) == (1, True)
    (cloud.folder / "store-is-away").unlink()
    (cloud.folder / "spent").write_text("much\n")
    end = cloud.run("babysit", "train", MAX_USD="9.60")
    assert (end.code, "wanted USD, got 'much'" in end.err) == (1, True)
    assert not any(" create " in line for line in cloud.log)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_saves_and_gives_back(cloud: Cloud, number: int) -> None:
    """And so does a terminal that is closed."""
    started = cloud.folder / "worker1" / "words"
    end = cloud.interrupted("babysit", "train", when=started.exists, number=number)
    assert end.code == 130
    assert "stopped by you: saving, and giving the machine back" in end.err
    assert cloud.left() == []


def test_a_machine_may_be_kept(cloud: Cloud) -> None:
    cloud.unit(1, "0 0")
    end = cloud.run("babysit", "train", KEEP="1", WORKERS="1")
    assert end.code == 0
    assert "KEEP=1: sparsetx-first stays, at 9.60 USD an hour" in end.err
    assert cloud.left() == ["sparsetx-first"]


def test_one_that_is_started_again_finds_the_unit(cloud: Cloud) -> None:
    assert cloud.run("create").code == 0
    assert cloud.run("wait").code == 0
    assert cloud.run("setup").code == 0
    assert cloud.run("launch", "train").code == 0
    cloud.unit(1, "1 0")
    assert cloud.run("babysit", "train").code == 0
    assert (cloud.folder / "count-unit0").read_text() == "1\n"
    assert cloud.left() == []


def test_pruning_counts_circuits(cloud: Cloud) -> None:
    cloud.unit(1, "0 42")
    cloud.unit(2, "0 0")
    end = cloud.run("babysit", "prune", "--tasks", "all", EXP="", WORKERS="1")
    assert end.code == 0, end.err
    assert "gcloud storage ls 'gs://bucket/first/circuits/**/circuit.json'" in cloud.log


def test_what_it_refuses(cloud: Cloud) -> None:
    assert "wanted train or prune, got 'eval'" in cloud.run("babysit", "eval").err
    end = cloud.run("babysit", "train", EXP="")
    assert (end.code, "EXP=…" in end.err) == (2, True)
    (cloud.code / "new.txt").touch()
    try:
        end = cloud.run("babysit", "train")
    finally:
        (cloud.code / "new.txt").unlink()
    assert (end.code, "the tree has changes that" in end.err) == (2, True)
    for name, value, wanted in (
        ("POLL", "1m", "whole number, got '1m'"),
        ("BACKOFF", "0.5", "whole number, got '0.5'"),
        ("RESTARTS", "many", "whole number, got 'many'"),
        ("MAX_USD", "$200", "number of dollars, got '$200'"),
        ("MAX_USD", "1.2.3", "number of dollars, got '1.2.3'"),
    ):
        end = cloud.run("babysit", "train", **{name: value})
        assert (end.code, f"{name}: wanted a {wanted}" in end.err) == (2, True)
    assert cloud.log == []  # nothing was asked for
    assert cloud.left() == []


def test_a_run_keeps_its_commit(cloud: Cloud) -> None:
    """Whoever works on the checkout meanwhile neither stops nor changes it."""
    cloud.plan(1, *[READY] * 3, *LOST)
    cloud.plan(2, "ACCEPTED", READY)
    cloud.unit(2, "1 0")
    started = cloud.folder / "worker1" / "words"
    process = cloud.begun("babysit", "train", when=started.exists, WORKERS="2")
    (cloud.code / "new.txt").touch()
    try:
        end = ended(process)
    finally:
        (cloud.code / "new.txt").unlink()
    assert end.code == 0, end.err
    assert sum("scp sparsetx-COMMIT" in line for line in cloud.log) == 2
    assert cloud.left() == []


def test_what_nobody_foresaw_gives_the_machine_back(cloud: Cloud) -> None:
    """The clock breaks, of all things."""
    broken = cloud.folder / "path" / "date"
    process = cloud.begun(
        "babysit",
        "train",
        when=(cloud.folder / "worker1" / "words").exists,
        PATH=f"{cloud.folder / 'path'}:{FAKES}:{FAKES / 'clock'}:{os.environ['PATH']}",
    )
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    end = ended(process)
    assert end.code == 1
    assert "it failed, see above: saving, and giving the machine back" in end.err
    assert cloud.left() == []
