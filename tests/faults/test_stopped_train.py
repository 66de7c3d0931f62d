"""A run that is stopped by a real signal, and taken up again, is the same run."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from sparsetx.cli.main import main
from sparsetx.run import checkpoints
from tests import runs
from tests.cli.test_train import rows, sums
from tests.faults import hosts

SLOW = """
import sys, time
from sparsetx.training import launch
from sparsetx.cli import main
evaluate = launch.evaluation
def slowly(config, feed, stop):
    inner = evaluate(config, feed, stop)
    def told(params, warm=False):
        if not warm:
            print('evaluating', flush=True)
            time.sleep(2)
        return inner(params, warm)
    return told
launch.evaluation = slowly
sys.exit(main.main(sys.argv[1:]))
"""


def test_stopped_and_taken_up_again_it_is_the_same_run(
    tmp_path: Path,
) -> None:
    """The signal comes during the evaluation after step 6: it is seen before step 7."""
    run = tmp_path / "run"
    experiment = runs.experiment(tmp_path, runs.data())
    command = ["train", str(experiment), "--run", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "evaluating\n":
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, err = hosts.output(process)
    assert process.returncode == 42, err
    assert time.monotonic() - began < 10
    assert "stopped at step 6 of 12, saved in" in out
    assert checkpoints.steps(run) == [4, 6]
    assert not (run / "lock").exists()

    assert main(command) == 0
    assert sums(run) == sums(runs.trained())
    assert rows(run) == rows(runs.trained())
    starts = json.loads((run / "environment.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, 6]
