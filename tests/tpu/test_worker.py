"""The script that runs on a worker: one unit at a time, and what becomes of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tpu.cloud import Cloud, checkout

TRAIN = ("start", "train", "an experiment.py", "--run", "gs://bucket/my 'run'")


def waited_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ready(cloud: Cloud) -> Path:
    """A unit that has begun to work."""
    end = cloud.worker(0, *TRAIN)
    assert end.code == 0, end.err
    home = cloud.folder / "worker0"
    waited_for(lambda: "step 1" in (home / ".sparsetx/unit/log").read_text())
    return home


def test_a_unit_is_told_its_words_and_ends_with_its_code(cloud: Cloud) -> None:
    assert cloud.worker(0, "status").out == "unit w0 idle - | \n"
    home = ready(cloud)
    assert (home / "words").read_text().splitlines() == list(TRAIN[1:])
    assert cloud.worker(0, "status").out == "unit w0 running - | step 1\n"
    # The line failed after the start: the same again finds it; another is refused.
    assert cloud.worker(0, *TRAIN).out.startswith("unit w0 running")
    end = cloud.worker(0, "start", "prune", "x")
    assert (end.code, "its unit still runs" in end.err) == (2, True)
    (home / "end.new").write_text("7\n")
    (home / "end.new").rename(home / "end")  # never read half written
    waited_for((home / ".sparsetx/unit/code").exists)
    assert cloud.worker(0, "status").out == "unit w0 ended 7 | ending with 7\n"
    assert cloud.worker(0, "log", "-n", "1").out == "ending with 7\n"
    assert cloud.left() == []


def test_stop_saves(cloud: Cloud) -> None:
    ready(cloud)
    assert cloud.worker(0, "stop").out == "unit w0 ended 42 | saved\n"
    assert cloud.worker(0, "stop").out == "unit w0 ended 42 | saved\n"
    assert cloud.left() == []


def test_one_that_does_not_end_is_killed(cloud: Cloud) -> None:
    cloud.worker(0, *TRAIN, SLOW="30")
    waited_for((cloud.folder / "worker0" / "words").exists)
    end = cloud.worker(0, "stop", "1")
    assert "still there after 1 s, killed" in end.err
    assert "unit w0 ended 137" in end.out


def test_one_whose_keeper_was_killed_is_lost(cloud: Cloud) -> None:
    home = ready(cloud)
    pid = int((home / ".sparsetx/unit/pid").read_text().split()[0])
    words = ["ps", "-o", "ppid=", "-p", str(pid)]
    keeper = int(subprocess.check_output(words, text=True))
    os.kill(keeper, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    waited_for(lambda: "lost 137" in cloud.worker(0, "status").out)
    # Its pid may be another's by now: who began at another time is not the unit.
    (home / ".sparsetx/unit/pid").write_text(f"{os.getpid()} 12\n")
    assert "lost 137" in cloud.worker(0, "stop").out


def unit_of_another(cloud: Cloud, pid: str) -> Path:
    unit = cloud.folder / "worker0" / ".sparsetx/unit"
    unit.mkdir(parents=True)
    (unit / "pid").write_text(pid)
    return unit


def this_process() -> str:
    stat = Path("/proc/self/stat").read_text()
    return f"{os.getpid()} {stat.rpartition(') ')[2].split()[19]}"


def test_one_whose_keeper_still_has_to_write_the_code_is_not_lost(cloud: Cloud) -> None:
    unit = unit_of_another(cloud, f"{os.getpid()} 12 {this_process()}\n")
    late = threading.Timer(1.0, (unit / "code").write_text, ["42\n"])
    late.start()
    assert cloud.worker(0, "status").out == "unit w0 ended 42 | \n"
    late.join()


def test_one_whose_keeper_is_gone_as_well_is_lost_at_once(cloud: Cloud) -> None:
    unit_of_another(cloud, f"{os.getpid()} 12 {os.getpid()} 13\n")
    assert cloud.worker(0, "status").out == "unit w0 lost 137 | \n"


# Time is counted in lookups of a start time: the unit (1) ends at the one, and its
# keeper (2) has written the code at the other.
CLOCKED = """began() {
  local now
  now=$(cat "$UNIT/clock")
  echo $((now + 1)) >"$UNIT/clock"
  [ "$now" -lt WRITES ] || { echo 0 >"$UNIT/code"; rm -f "$UNIT/pid"; return; }
  [ "$now" -ge ENDS ] && [ "$1" = 1 ] || echo 7
}"""


@pytest.mark.parametrize("ends", [0, 1])
@pytest.mark.parametrize("later", [0, 1, 2])
def test_one_that_ends_while_its_state_is_read(
    cloud: Cloud, ends: int, later: int
) -> None:
    """It was told as lost in a rehearsal, on a busy machine."""
    cloud.code = checkout(cloud.folder / "changed")  # the others share theirs
    script = cloud.code / "tpu" / "worker.sh"
    text = script.read_text()
    line = next(line for line in text.splitlines() if line.startswith("began()"))
    clocked = CLOCKED.replace("ENDS", str(ends)).replace("WRITES", str(ends + later))
    script.write_text(text.replace(line, clocked))
    unit = unit_of_another(cloud, "1 7 2 7\n")
    (unit / "clock").write_text("0\n")
    said = [cloud.worker(0, "status").out for _ in range(2)]
    assert said[-1] == "unit w0 ended 0 | \n"
    assert said[0] in ("unit w0 running - | \n", said[-1])


def test_in_the_foreground_a_signal_reaches_python(cloud: Cloud) -> None:
    home = cloud.folder / "worker0"
    home.mkdir()
    stub = str(Path(__file__).parent / "fakes" / "worker" / "python3")
    process = cloud.start(
        ["tpu/worker.sh", "run", "train", "x"], HOME=str(home), SPARSETX_PYTHON=stub
    )
    waited_for((home / "words").exists)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, "saved" in out) == (42, True)


METADATA = """#!/usr/bin/env bash
case "$*" in
  *worker-network-endpoints*) echo "$ENDPOINTS" ;;
  *agent-worker-number*) echo 3 ;;
  *) exit 22 ;;
esac
"""


@pytest.mark.parametrize(
    ("endpoints", "first"),
    [("w0.local,w1.local", "w0.local"), ("a:0:10.0.0.5,b:1:10.0.0.6", "10.0.0.5")],
)
def test_hosts_of_a_pod_are_named_by_its_metadata(
    cloud: Cloud, endpoints: str, first: str
) -> None:
    curl = cloud.folder / "path" / "curl"
    curl.write_text(METADATA)
    curl.chmod(0o755)
    tpus = [cloud.folder / f"accel{i}" for i in range(4)]
    for tpu in tpus:
        tpu.touch()
    more = {"ENDPOINTS": endpoints, "SPARSETX_TPUS": " ".join(map(str, tpus))}
    home = cloud.folder / "worker0"
    cloud.worker(0, *TRAIN, **more)
    waited_for((home / "environment").exists)
    given = (home / "environment").read_text().splitlines()
    assert f"SPARSETX_COORDINATOR={first}:8482" in given
    assert "SPARSETX_HOSTS=2" in given
    assert "SPARSETX_HOST=3" in given
    assert f"SPARSETX_DATA={home}/.sparsetx/data" in given
    cloud.worker(0, "stop")
    # Pruning is done by each host alone, with its own chips.
    (home / "environment").unlink()
    cloud.worker(0, "start", "prune", "x", **more)
    waited_for((home / "environment").exists)
    given = (home / "environment").read_text().splitlines()
    assert "TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1" in given
    assert "TPU_VISIBLE_CHIPS=0,1,2,3" in given
    assert not [line for line in given if line.startswith("SPARSETX_HOSTS=")]
    cloud.worker(0, "stop")


def test_data_is_made_and_its_fingerprint_told(cloud: Cloud) -> None:
    end = cloud.worker(0, "data", "experiments/tiny.py", "seed=3")
    assert end.out == "data w0 0123abc\n"
    made = cloud.folder / "worker0" / ".sparsetx" / "data" / "tinypython-512"
    assert (made / "meta.json").exists()


def test_data_on_a_bucket_is_read_from_there(cloud: Cloud) -> None:
    end = cloud.worker(0, "data", "experiments/x.py", STUB_DATA='"gs://bucket/data"')
    assert (end.code, end.out) == (0, "data w0 gs://bucket/data\n"), end.err
    assert not (cloud.folder / "worker0" / ".sparsetx" / "data").exists()


def test_data_are_fetched_from_a_bucket_without_gcloud(cloud: Cloud) -> None:
    """By our own Python: images for GKE have no gcloud."""
    (cloud.folder / "path" / "gcloud").write_text("#!/bin/sh\nexit 9\n")
    (cloud.folder / "path" / "gcloud").chmod(0o755)
    words = ["--from", "gs://bucket/corpus", "data", "experiments/x.py"]
    end = cloud.worker(0, *words)
    assert (end.code, end.out) == (0, "data w0 of-corpus\n"), end.err
    words[1] = "gs://nowhere/data"
    end = cloud.worker(0, *words)
    assert (end.code, "wanted prepared tokens" in end.err) == (2, True)


def test_unlock_ends_who_holds_the_tpu_and_spares_the_unit(cloud: Cloud) -> None:
    tpu = cloud.folder / "accel0"
    tpu.touch()
    lock = cloud.folder / "lockfile"
    lock.touch()
    more = {"SPARSETX_TPUS": str(tpu), "SPARSETX_TPU_LOCK": str(lock)}
    hold = (
        "import sys, time; f = open(sys.argv[1]); print(1, flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", hold, str(tpu)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        end = cloud.worker(0, "unlock", **more)
        assert f"worker w0: ending {holder.pid}: {sys.executable}" in end.out
        assert holder.wait(10) == -signal.SIGTERM
    assert not lock.exists()
    assert cloud.worker(0, "unlock", **more).out == "worker w0: nobody holds the TPU\n"


def test_what_it_refuses(cloud: Cloud) -> None:
    end = cloud.worker(0, "dance")
    assert (end.code, "got 'dance'" in end.err) == (2, True)
    assert "wanted words after start" in cloud.worker(0, "start").err
    assert cloud.worker(0, "run").code == 2
