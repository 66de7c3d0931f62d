"""A fortnight of preemptions in minutes: `python -m tests.faults.fortnight [KILLS]`.

A small run is killed hundreds of times at random moments, mostly by SIGKILL, now and
then by SIGTERM, and taken up again, until it is done. Each time, what is lost is what
was done since the last save. The end is compared with a run that was left alone: equal
parameters, optimiser and rows. Lives are forked from a process that has everything
imported and nothing begun, so that one takes a second or two.
"""

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

SAVE_EVERY = 20
LIFE = 4.0  # seconds that a life lasts, on average; half of it is starting
SHORT = 1.0  # where the run is ahead, so that it does not end before the last kill
MORE = 150  # steps of the run for every kill


def main(kills: int) -> int:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from sparsetx.cli import main as cli
    from sparsetx.data.prepare import Request, prepare
    from sparsetx.run import checkpoints, metrics_log
    from sparsetx.system import fields, files
    from tests import runs

    folder = Path(tempfile.mkdtemp(prefix="fortnight-"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "cache")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    prepare(Request("tinypython", 512, 20_000, str(folder / "data")))
    steps = kills * MORE
    config = fields.override(
        runs.config(folder / "data"),
        [f"train.steps={steps}", f"train.save_every={SAVE_EVERY}",
         "train.eval_every=500", "train.log_every=5"],
        "it",
    )  # fmt: skip
    files.write_json(folder / "small.json", fields.to_json(config))

    def life(run: Path) -> int:
        """The pid of a process that trains."""
        pid = os.fork()
        if pid == 0:
            quiet = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            sys.argv = ["sparsetx"]
            command = ["train", str(folder / "small.json"), "--run", str(run)]
            os._exit(cli.main(command))
        return pid

    def seen(run: Path) -> int:
        return max(
            (r["step"] for r in metrics_log.read(run / "metrics.jsonl")), default=0
        )

    whole, killed = folder / "whole", folder / "killed"
    assert os.waitstatus_to_exitcode(os.waitpid(life(whole), 0)[1]) == 0
    rng, lost, count, saved = random.Random(0), [], 0, 0
    began = time.monotonic()
    while True:
        pid = life(killed)
        ahead = saved * kills > steps * count
        until = time.monotonic() + 0.8 + rng.expovariate(1 / (SHORT if ahead else LIFE))
        done = 0
        while not done and (time.monotonic() < until or count >= kills):
            time.sleep(0.02)
            done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, folder / "log"
            break
        os.kill(pid, signal.SIGTERM if rng.random() < 0.1 else signal.SIGKILL)
        os.waitpid(pid, 0)
        count += 1
        saved = max(checkpoints.steps(killed), default=0)
        lost.append(max(0, seen(killed) - saved))
        if count % 20 == 0:
            pace = (time.monotonic() - began) / count
            print(
                f"{count} kills, at step {saved:,} of {steps:,}, "
                f"{pace:.1f} s each, at most {max(lost)} steps lost",
                flush=True,
            )
    same = [checkpoints.read_facts(r, steps)["checksums"] for r in (whole, killed)]
    rows = [
        [{k: v for k, v in r.items() if k != "tokens_per_second"} for r in found]
        for found in (metrics_log.read(r / "metrics.jsonl") for r in (whole, killed))
    ]
    print(
        f"{count} kills in {time.monotonic() - began:,.0f} s; steps lost by a kill: "
        f"median {statistics.median(lost):.0f}, most {max(lost)} (saved every "
        f"{SAVE_EVERY}); state equal: {same[0] == same[1]}, "
        f"rows equal: {rows[0] == rows[1]}"
    )
    lossless = same[0] == same[1] and rows[0] == rows[1]
    return int(not lossless or max(lost) > SAVE_EVERY)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
