"""What machines do to a run, with real processes: full disks, folders that go, peers
that die, caches that are torn."""

import re
import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.run import checkpoints, metrics_log
from tests import runs
from tests.cli.test_train import rows
from tests.faults import hosts
from tests.faults.case import case, until


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("bad"), runs.data())


# Orbax's writing thread outlives the loop that a failed save ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up(experiment: Path, tmp_path: Path) -> None:
    """Stood in for by a limit on the size of files: every write above it fails."""
    run = tmp_path / "run"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    with case("disk full at the first save") as row:
        process = hosts.started(
            hosts.train(experiment, run), hosts.environment(1), full
        )
        end = hosts.ended(process)[0]
        assert end.code == 1, end
        assert "the state could not be saved" in end.err
        assert "Traceback" not in end.err
        assert checkpoints.steps(run) == []
        again = hosts.alone(hosts.train(experiment, run), 1)
        assert again.code == 0, again.err
        row.told = "exit 1 and says so; with room again, the same command ends well"


def test_too_little_room_is_seen_before_it_trains(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from sparsetx.cli.main import main

    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with case("too little room for the checkpoints") as row:
        assert main(["train", str(experiment), "--run", str(tmp_path / "run")]) == 2
        err = capsys.readouterr().err
        assert re.search(r"wanted \d+ MB for .*, its disk has 1 MB: free some", err)
        row.told = "exit 2 before the first step"


def test_a_folder_that_goes_away(experiment: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ("train.steps=1000000", "train.log_every=1", "train.save_every=500000")
    with case("the run's folder is removed while it trains") as row:
        process = hosts.started(
            hosts.train(experiment, run, *more), hosts.environment(1)
        )
        until(lambda: len(metrics_log.read(run / "metrics.jsonl")) > 5)
        # Moved, not deleted file by file: the run writes while we do it.
        run.rename(tmp_path / "gone")
        end = hosts.ended(process)[0]
        assert end.code == 1, end
        assert "No such file or directory" in end.err
        assert "Traceback" not in end.err
        row.told = "exit 1 with one message"


def test_a_folder_that_nothing_can_be_written_to(experiment: Path) -> None:
    with case("a folder that cannot be written") as row:
        end = hosts.alone(hosts.train(experiment, Path("/proc/none/run")), 1)
        assert end.code in (1, 2), end
        assert "Traceback" not in end.err
        assert "/proc/none" in end.err
        row.told = f"exit {end.code} with one message"


def test_a_torn_compile_cache(experiment: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cached = hosts.environment(
        1,
        JAX_COMPILATION_CACHE_DIR=str(cache),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    with case("a torn compile cache") as row:
        sums = []
        for name in ("first", "second"):
            command = hosts.train(experiment, tmp_path / name)
            end = hosts.ended(hosts.started(command, cached))[0]
            assert end.code == 0, end.err
            facts = checkpoints.read_facts(tmp_path / name, runs.STEPS)
            sums.append(facts["checksums"])
            torn = [p for p in cache.rglob("*") if p.is_file()]
            assert torn
            for path in torn:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert sums[0] == sums[1]
        row.told = f"{len(torn)} entries cut in half: compiled again, hash-equal"


def test_two_writers(experiment: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with case("a second writer") as row:
        first = hosts.started(
            hosts.train(experiment, run, "train.steps=1000000"), hosts.environment(1)
        )
        until(lambda: checkpoints.steps(run))
        second = hosts.alone(hosts.train(experiment, run, "train.steps=1000000"), 1)
        first.send_signal(signal.SIGTERM)
        assert hosts.ended(first)[0].code == 42
        assert second.code == 2, second
        assert f"process {first.pid} on" in second.err
        row.told = "exit 2, names the first by pid and host; the first goes on"


def test_a_clock_that_goes_back() -> None:
    """Nothing that decides looks at it: only what is written for people does."""
    package = Path(sparsetx.__file__).parent
    with case("a clock that goes back") as row:
        users = {
            path.relative_to(package).as_posix()
            for path in package.rglob("*.py")
            if re.search(r"time\.time\(|datetime\.now|utcnow", path.read_text())
        }
        assert users <= {"run/provenance.py", "cli/doctor.py"}, users
        row.told = "durations are monotonic; the time of day only goes into records"


HEARTBEAT = 10


def told(**more: str) -> dict[str, str]:
    return {"SPARSETX_HEARTBEAT": str(HEARTBEAT), "SPARSETX_PATIENCE": "8", **more}


@pytest.mark.parametrize("dies", [0, 1])
def test_a_peer_that_dies(
    dies: int, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told().items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "run"
    which = "the first of two hosts" if dies == 0 else "the second of two hosts"
    with case(f"kill -9 {which}") as row:
        processes = hosts.pair(hosts.train(experiment, run, "train.steps=1000000"))
        until(lambda: len(checkpoints.steps(run)) > 1)
        processes[dies].kill()
        began = time.monotonic()
        ends = hosts.ended(*processes)
        seconds = time.monotonic() - began
        left = ends[1 - dies]
        assert left.code != 0
        assert seconds < HEARTBEAT + 10
        assert "another host of this run died" in left.err, left
        more = (
            f"train.steps={checkpoints.steps(run)[-1] + 1}",
            "--allow",
            "train.steps",
        )
        for end in hosts.both(hosts.train(experiment, run, *more)):
            assert end.code == 0, end
        row.told = f"the other ends after {seconds:.0f} s with a hint; both go on again"


def test_a_peer_that_never_starts(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with case("a host that never starts") as row:
        command = hosts.train(experiment, tmp_path / "run")
        alone = told(
            SPARSETX_HOSTS="2", SPARSETX_HOST="0", SPARSETX_COORDINATOR="localhost:0"
        )
        free = hosts.free_port()
        alone["SPARSETX_COORDINATOR"] = f"localhost:{free}"
        began = time.monotonic()
        end = hosts.ended(hosts.started(command, hosts.environment(2, **alone)))[0]
        seconds = time.monotonic() - began
        assert end.code != 0
        assert seconds < 8 + 10
        assert "did not start in time" in end.err, end
        row.told = f"the other ends after {seconds:.0f} s with a hint"


def test_rows_torn_by_a_kill_are_mended(experiment: Path, tmp_path: Path) -> None:
    run = runs.copied(tmp_path)
    shutil.rmtree(run / "checkpoints" / "12")
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 13, "lo')
    with case("a torn last row") as row:
        wanted = rows(runs.trained())
        end = hosts.alone(hosts.train(experiment, run), 1)
        assert end.code == 0, end.err
        assert [r["step"] for r in rows(run)] == [r["step"] for r in wanted]
        row.told = "mended: no row twice, none missing"


@pytest.mark.parametrize("where", ["one device", "two processes of 2 devices"])
def test_other_machines_go_on(where: str, experiment: Path, tmp_path: Path) -> None:
    """What eight devices saved is the same state elsewhere, bit for bit (checksums are
    compared as it is read), and ends where it would have ended, up to rounding."""
    run = runs.copied(tmp_path)
    shutil.rmtree(run / "checkpoints" / "12")
    command = hosts.train(experiment, run)
    with case(f"saved on 8 devices, taken up on {where}") as row:
        if where == "one device":
            ends = [hosts.alone(command, 1)]
        else:
            ends = hosts.both(command)
        assert [end.code for end in ends] == [0] * len(ends), ends
        assert "going on at step 8" in ends[0].out
        tokens = np.arange(64).reshape(4, 16)
        here, there = (
            sparsetx.load_run(r).logits(tokens) for r in (run, runs.trained())
        )
        far = float(np.abs(here - there).max())
        assert far < 1e-4
        row.told = f"state verified; in the end logits differ by {far:.0e} at most"
