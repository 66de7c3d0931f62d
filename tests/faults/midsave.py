"""Kills while a save is in flight: `python -m tests.faults.midsave [KILLS [SEED]]`.

A run with larger arrays is killed (SIGKILL) at a random moment of a save, again and
again, and taken up each time. What a kill may cost is one interval, and what was done
in the time of one save: the step before the one in flight must always be there. The
end is compared with a run that was left alone: equal state, bit for bit, equal rows.
"""

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.lives import Nursery

SAVE_EVERY = 20
WIDE = ("model.d_model=256", "model.d_mlp=1024", "train.batch=2")  # 24 MB of state
MORE = 25  # steps of the run for every kill: it gets on by 0 to 20
LONGEST = 0.2  # seconds into a save


@dataclass
class Lost:
    """What kills cost, in steps."""

    every: int
    all: list[int] = field(default_factory=list)
    during: list[int] = field(default_factory=list)  # done since the save began

    def count(self, seen: int, saved: int, in_flight: int | None) -> None:
        """A kill: at most one interval before the step in flight, if there is one."""
        self.all.append(max(0, seen - saved))
        if in_flight is not None and in_flight > saved:
            assert in_flight - saved <= self.every, (in_flight, saved)
            self.during.append(max(0, seen - in_flight))

    @property
    def told(self) -> str:
        most = max(self.during, default=0)
        return (
            f"{len(self.all)} kills, {len(self.during)} of them while a save was in "
            f"flight; steps lost: median {statistics.median(self.all):.0f}, most "
            f"{max(self.all)} (saved every {self.every}, most done in the time of a "
            f"save {most})"
        )


def killed(nursery: Nursery, rng: random.Random) -> bool:
    """One life, killed in its first save or in its second, for it must get on; False if
    it ended before."""
    pid = nursery.life("killed")
    target = nursery.saved("killed") + SAVE_EVERY * rng.randint(1, 2)
    cleared = False  # of what the life before has left of a save
    while True:
        writes = nursery.in_flight("killed")
        cleared = cleared or writes is None
        if cleared and writes is not None and writes >= target:
            break
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    time.sleep(rng.uniform(0, LONGEST))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def main(kills: int = 50, seed: int = 0) -> int:
    steps = kills * MORE
    changes = [*WIDE, f"train.steps={steps}", f"train.save_every={SAVE_EVERY}"]
    changes += ["train.eval_every=1000000", "train.log_every=1"]
    nursery = Nursery.of(Path(tempfile.mkdtemp(prefix="midsave-")), changes)
    rng, lost = random.Random(seed), Lost(SAVE_EVERY)
    began = time.monotonic()
    while len(lost.during) < kills and killed(nursery, rng):
        seen, saved = nursery.seen("killed"), nursery.saved("killed")
        lost.count(seen, saved, nursery.in_flight("killed"))
        if len(lost.all) % 10 == 0:
            print(f"{time.monotonic() - began:,.0f} s: {lost.told}", flush=True)
    nursery.ended(nursery.life("killed"))
    nursery.ended(nursery.life("whole"))
    same, rows = nursery.equal("whole", "killed", steps)
    print(f"{lost.told}; state equal: {same}, rows equal: {rows}")
    enough = len(lost.during) >= kills
    return int(not (same and rows and enough) or max(lost.all) > 2 * SAVE_EVERY)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
