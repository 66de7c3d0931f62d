"""A fortnight of preemptions in minutes: `python -m tests.faults.fortnight [KILLS]`.

A small run is killed hundreds of times at random moments, mostly by SIGKILL, now and
then by SIGTERM, and taken up again, until it is done. Each time, what is lost is what
was done since the last save that was written: at most one interval, and what was done
in the time of one save. The end is compared with a run that was left alone: equal
parameters, optimiser and rows.
"""

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.lives import Nursery

SAVE_EVERY = 20
LIFE = 4.0  # seconds that a life lasts, on average; half of it is starting
SHORT = 1.0  # where the run is ahead, so that it does not end before the last kill
MORE = 150  # steps of the run for every kill


def main(kills: int) -> int:
    steps = kills * MORE
    changes = [f"train.steps={steps}", f"train.save_every={SAVE_EVERY}"]
    changes += ["train.eval_every=500", "train.log_every=5"]
    nursery = Nursery.of(Path(tempfile.mkdtemp(prefix="fortnight-")), changes)
    nursery.ended(nursery.life("whole"))
    rng, lost, count, saved = random.Random(0), [], 0, 0
    began = time.monotonic()
    while True:
        pid = nursery.life("killed")
        ahead = saved * kills > steps * count
        until = time.monotonic() + 0.8 + rng.expovariate(1 / (SHORT if ahead else LIFE))
        done = 0
        while not done and (time.monotonic() < until or count >= kills):
            time.sleep(0.02)
            done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, nursery.folder / "log"
            break
        os.kill(pid, signal.SIGTERM if rng.random() < 0.1 else signal.SIGKILL)
        os.waitpid(pid, 0)
        count += 1
        saved = nursery.saved("killed")
        lost.append(max(0, nursery.seen("killed") - saved))
        if count % 20 == 0:
            pace = (time.monotonic() - began) / count
            print(
                f"{count} kills, at step {saved:,} of {steps:,}, "
                f"{pace:.1f} s each, at most {max(lost)} steps lost",
                flush=True,
            )
    same, rows = nursery.equal("whole", "killed", steps)
    print(
        f"{count} kills in {time.monotonic() - began:,.0f} s; steps lost by a kill: "
        f"median {statistics.median(lost):.0f}, most {max(lost)} (saved every "
        f"{SAVE_EVERY}); state equal: {same}, rows equal: {rows}"
    )
    return int(not (same and rows) or max(lost) > 2 * SAVE_EVERY)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
