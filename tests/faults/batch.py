"""The batch job, killed at random: `python -m tests.faults.batch RUN [KILLS]`.

`prune --tasks all` with a short search, once left alone and once killed by SIGKILL at
random moments: the circuits of both are compared, byte for byte.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.test_prune_kills import sums

SHORT = [
    "--rounds", "1x25", "--pairs", "8", "--pools", "64,32,32", "--finalists", "1",
    "--honest", "0", "--length", "48", "--no-effective",
]  # fmt: skip


def main(run: Path, kills: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="batch-"))

    def started(out: str) -> "subprocess.Popen[bytes]":
        more = ["--out", str(folder / out), *SHORT]
        command = [sys.executable, "-m", "sparsetx", "prune", str(run), *more]
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    began = time.monotonic()
    assert started("whole").wait() == 0, folder / "log"
    took = time.monotonic() - began
    print(f"left alone it takes {took:.0f} s", flush=True)
    rng = random.Random(0)
    for number in range(kills):
        process = started("torn")
        time.sleep(rng.uniform(0.35, 0.65) * took)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = len(list((folder / "torn").rglob("circuit.json")))
        print(f"kill {number + 1}: {there} circuits are there", flush=True)
    assert started("torn").wait() == 0, folder / "log"
    same = sums(folder / "torn") == sums(folder / "whole")
    count = len(sums(folder / "whole"))
    print(f"{kills} kills; {count} files of circuits, byte for byte equal: {same}")
    if same:
        shutil.rmtree(folder)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6))
