"""What other launchers are given runs the same worker script."""

import os
import subprocess
from typing import Any

import pytest
import yaml

from tests.house import ROOT
from tests.tpu.cloud import Cloud

FROM_DATA = '${DATA:+--from "$DATA"} data "$EXP"'


def filled(cloud: Cloud, **more: str) -> Any:
    end = cloud.run("jobset", **({"IMAGE": "registry/sparsetx:1"} | more))
    assert end.code == 0, end.err
    assert "@" not in end.out.replace("# @", "")
    return yaml.safe_load(end.out)


@pytest.mark.parametrize(
    ("kind", "hosts", "chips", "label"),
    [
        ("v5litepod-16", 4, 4, "tpu-v5-lite-podslice"),
        ("v5litepod-8", 1, 8, "tpu-v5-lite-podslice"),
        ("v5p-128", 16, 4, "tpu-v5p-slice"),
    ],
)
def test_a_jobset(cloud: Cloud, kind: str, hosts: int, chips: int, label: str) -> None:
    found = filled(cloud, TPU_TYPE=kind, RUN="gs://bucket/My run", RESTARTS="3")
    assert found["metadata"]["name"] == "sparsetx-my-run"
    assert found["spec"]["failurePolicy"]["maxRestarts"] == 3
    job = found["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["parallelism"] == job["completions"] == hosts
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [1, 2]  # these are never started again
    pod = job["template"]["spec"]
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"] == label
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": chips}
    given = {item["name"]: item["value"] for item in container["env"]}
    assert (given["RUN"], given["EXP"]) == ("gs://bucket/My run", "experiments/tiny.py")
    assert len(given["SPARSETX_COMMIT"]) == 40
    assert given["DATA"] == ""
    (command,) = container["args"]
    assert f"worker.sh {FROM_DATA} &&" in command
    assert 'worker.sh run train "$EXP" --run "$RUN"' in command


def test_a_jobset_with_data_of_a_bucket(cloud: Cloud) -> None:
    """Its command, run by a real shell, hands the bucket's name to the worker."""
    found = filled(cloud, DATA="gs://bucket/my data")
    pod = found["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {item["name"]: item["value"] for item in container["env"]}
    (command,) = container["args"]
    told = command.partition(" &&")[0].replace("bash", 'printf "%s\\n"', 1)
    words = subprocess.run(
        ["bash", "-c", told],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
    )
    where, *rest = words.stdout.splitlines()
    assert where == "/sparsetx/tpu/worker.sh"
    assert rest == ["--from", "gs://bucket/my data", "data", "experiments/tiny.py"]


def test_what_a_jobset_refuses(cloud: Cloud) -> None:
    assert "IMAGE=… is not set" in cloud.run("jobset").err
    end = cloud.run("jobset", IMAGE='a"b')
    assert (end.code, "no quotes" in end.err) == (2, True)


def test_a_sky_task() -> None:
    found = yaml.safe_load((ROOT / "tpu" / "sky.yaml").read_text())
    assert 'worker.sh run train "$EXP" --run "$RUN"' in found["run"]
    assert found["setup"] == "bash tpu/install.sh"
    recovery = found["resources"]["job_recovery"]
    assert recovery["recover_on_exit_codes"] == [42, 134, 137, 143]
    assert recovery["max_restarts_on_errors"] == 0
    assert f"worker.sh {FROM_DATA} || exit\n" in found["run"]  # its code is the job's
    assert found["envs"]["DATA"] == ""
