"""Controls that are stopped by real signals, and go on from what they had."""

import json
import signal
from pathlib import Path

import pytest

from sparsetx.cli.main import main
from tests.circuits import handmade
from tests.cli.test_prune import QUICK
from tests.faults import case, hosts


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)]
)
def test_stopped_in_the_middle_they_go_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    run, file = handmade.run(tmp_path), handmade.task_file(tmp_path)
    assert main(["prune", str(run), "--task-file", str(file), *QUICK]) == 0
    folder = run / "circuits" / handmade.TASK
    command = [
        *hosts.CLI, "controls", str(folder), "--task-file", str(file),
        "--only", "frozen_norms,necessity,seeds", "--seeds", "2",
    ]  # fmt: skip
    kept = folder / "controls" / "searches.json"
    with case.case(f"controls, {number.name} after the first of two seeds") as row:
        process = hosts.started(command, hosts.environment(2))
        case.until(lambda: kept.exists() or process.poll() is not None, 300)
        process.send_signal(number)
        (ended,) = hosts.ended(process)
        assert ended.code == code, ended.err
        assert not (folder / "lock").exists()
        told = json.loads((folder / "controls.json").read_text())["controls"]
        verdicts = {entry["name"]: entry["verdict"] for entry in told}
        assert verdicts["necessity"] == "pass"  # the quick ones come first
        assert verdicts["seeds"] == "not run"
        assert len(json.loads(kept.read_text())["found"]) == 1

        again = hosts.ended(hosts.started(command, hosts.environment(2)))[0]
        assert again.code == 0, again.err
        assert "necessity       pass         Without" not in again.out
        told = json.loads((folder / "controls.json").read_text())["controls"]
        (seeds,) = [entry for entry in told if entry["name"] == "seeds"]
        assert len(seeds["data"]["edges_plus"]) + seeds["data"]["not reached"] == 2
        row.told = f"exit {code}; went on, to {seeds['verdict']}"
