"""Each script by itself: what it says and sends, what it refuses, what it leaves."""

import tarfile
from pathlib import Path

import pytest

from tests.tpu.cloud import GOLDEN, READY, Cloud, tools

TARGETS = {
    "plan": "", "create": "TIER=on-demand VALID_UNTIL=6h", "wait": "", "setup": "",
    "train": "ARGS='train.steps=10 --allow train.steps'", "prune": "ARGS='--tasks all'",
    "status": "", "logs": "ARGS='-f -w 1'", "stop": "", "resume": "EXP=", "fetch": "",
    "delete": "", "list": "", "reap": "", "babysit": "MAX_USD=100 POLL=30",
    "collect": "",
}  # fmt: skip
NEEDED = (
    "awk", "basename", "bash", "cat", "cut", "date", "dirname", "git", "head", "make",
    "mkdir", "mktemp", "rm", "sed", "sort", "tail", "tar", "gzip", "tr", "xargs",
)  # fmt: skip


def test_dry_runs_of_every_target(cloud: Cloud) -> None:
    """On a machine without gcloud and without Python. The golden file is what one
    reads; it is right to change it when every new line is one that you would type."""
    path = tools(cloud.folder / "tools", *NEEDED)
    found = []
    for target, words in TARGETS.items():
        line = f"make --no-print-directory tpu-{target} DRY_RUN=1 {words}"
        process = cloud.start(["bash", "-c", f"{line} 2>&1"], PATH=path)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
        found.append(f"$ {line.replace('--no-print-directory ', '')}\n{out}")
    assert cloud.log == []
    assert cloud.left() == []
    golden = (GOLDEN / "dry-runs.txt").read_text()
    assert cloud.same("\n".join(found)) == golden


@pytest.mark.parametrize(
    "script",
    ["create", "wait", "setup", "launch", "status", "logs", "stop", "resume", "delete",
     "list", "reap", "babysit", "fetch", "unlock", "collect"],
)  # fmt: skip
def test_what_is_not_set_is_named(cloud: Cloud, script: str) -> None:
    words = ["train"] if script in ("launch", "babysit") else []
    missing = {"PROJECT": "", "ZONE": "", "RUN": ""}
    end = cloud.run(script, *words, **missing)
    assert end.code == 2
    names = ["RUN"] if script == "fetch" else ["PROJECT", "ZONE"]
    assert all(f"\n  {name}=…  " in end.err for name in names)
    path = tools(cloud.folder / "tools", *NEEDED)
    end = cloud.run(script, *words, PATH=path)
    assert end.code == 2
    assert "gcloud is not on PATH" in end.err
    assert cloud.log == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"TPU_TYPE": "v9-1"},
            "TPU_TYPE=v9-1 is not in tpu/types.tsv: wanted one of v4",
        ),
        ({"TIER": "cheap"}, "TIER=cheap: wanted spot, on-demand or reserved"),
    ],
)
def test_what_create_refuses(cloud: Cloud, more: dict[str, str], message: str) -> None:
    end = cloud.run("create", **more)
    assert (end.code, message in end.err) == (2, True)
    assert cloud.left() == []


def test_create_asks_once(cloud: Cloud) -> None:
    more = {"TIER": "reserved", "VALID_UNTIL": "6h", "RUNTIME": "tpu-ubuntu2204-base"}
    assert cloud.run("create", **more).code == 0
    asked = cloud.log[-1]
    assert asked.endswith(
        "--labels=sparsetx=first --reserved --valid-until-duration=6h"
    )
    assert "--runtime-version=tpu-ubuntu2204-base" in asked
    assert "is there already: ACTIVE" in cloud.run("create").err
    end = cloud.run("create", TPU_TYPE="v5litepod-16")
    assert (end.code, "is there already, and is a v5litepod-8" in end.err) == (2, True)
    assert sum(" create " in line for line in cloud.log) == 1


def test_ctrl_c_while_asking_leaves_nothing(cloud: Cloud) -> None:
    (cloud.folder / "hang").touch()
    asked = cloud.folder / "left"
    end = cloud.interrupted("create", when=asked.exists)
    assert end.code == 130
    assert "deleting it, lest it cost money unseen" in end.err
    assert cloud.left() == []


@pytest.mark.parametrize(
    ("states", "ends", "message"),
    [
        (("ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE:CREATING",
          READY), 0, "READY, after 120 s"),
        (("WAITING_FOR_RESOURCES", "SUSPENDING"), 1, "was taken away: make tpu-delete"),
        (("SUSPENDED",), 1, "was taken away"),
        (("FAILED",), 1, "cannot be had"),
        (("ACTIVE:PREEMPTED",), 1, "was preempted"),
        (("ACTIVE:STOPPED",), 1, "is STOPPED: look with gcloud"),
        (("GONE",), 1, "is not asked for: make tpu-create"),
    ],
)  # fmt: skip
def test_wait(cloud: Cloud, states: tuple[str], ends: int, message: str) -> None:
    cloud.run("create")
    cloud.plan(1, *states)
    end = cloud.run("wait")
    assert (end.code, message in end.err) == (ends, True), end.err


def up(cloud: Cloud, **more: str) -> None:
    """Asked for, ready, and set up."""
    for script in ("create", "wait", "setup"):
        end = cloud.run(script, **more)
        assert end.code == 0, end.err


def test_a_life_with_spaces_in_its_names(cloud: Cloud) -> None:
    more = {"RUN": "gs://bucket/My run's", "WORKERS": "1"}
    up(cloud, **more)
    assert "nothing to do" in cloud.run("setup", **more).out
    end = cloud.run("launch", "train", "data.name=tiny python", **more)
    assert end.code == 0, end.err
    home = cloud.folder / "worker0"
    words = (home / "words").read_text().splitlines()
    assert words == ["train", "experiments/tiny.py", "--run", "gs://bucket/My run's",
                     "data.name=tiny python"]  # fmt: skip
    assert (home / ".sparsetx/code/COMMIT").read_text() in cloud.run(
        "setup", **more
    ).err
    assert "unit w0 running" in cloud.run("status", **more).out
    assert "step 1" in cloud.run("logs", **more).out
    end = cloud.run("delete", **more)
    assert (end.code, "a unit still runs" in end.err) == (2, True)
    assert "unit w0 ended 42" in cloud.run("stop", **more).out
    assert cloud.run("resume", EXP="", **more).code == 0
    words = (home / "words").read_text().splitlines()
    assert words[1] == "gs://bucket/My run's/config.json"
    assert cloud.run("delete", "--force", **more).code == 0
    assert "is not there" in cloud.run("delete", **more).err
    assert cloud.left() == []


def test_hosts_with_other_data_do_not_start(cloud: Cloud) -> None:
    up(cloud)
    (cloud.folder / "worker1" / "fingerprint").write_text("feed")
    end = cloud.run("launch", "train")
    assert end.code == 1
    assert "the workers do not have the same data" in end.err
    assert "data w1 feed" in end.err
    assert not any("worker.sh start" in line for line in cloud.log)


def test_ctrl_c_while_starting_ends_what_has_started(cloud: Cloud) -> None:
    up(cloud)
    (cloud.folder / "hang").touch()
    first = cloud.folder / "worker0" / "words"
    end = cloud.interrupted("launch", "train", when=first.exists)
    assert end.code == 130
    assert "unit w0 ended 42" in end.out
    assert cloud.left() == ["sparsetx-first"]


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (["train"], {"RUN": "runs/x"}, "RUN=runs/x would be lost with the machine"),
        (
            ["train"],
            {"EXP": "experiments/no.py"},
            "EXP=experiments/no.py: no such file",
        ),
        (["train"], {"EXP": ""}, "EXP=…"),
        (["eval"], {}, "wanted train or prune, got 'eval'"),
    ],
)
def test_what_launch_refuses(
    cloud: Cloud, words: list[str], more: dict[str, str], message: str
) -> None:
    end = cloud.run("launch", *words, **more)
    assert (end.code, message in end.err) == (2, True)
    assert cloud.log == []


def test_what_is_not_committed_is_not_pushed(cloud: Cloud) -> None:
    new = cloud.code / "new.py"
    new.touch()
    try:
        end = cloud.run("setup")
    finally:
        new.unlink()
    assert (end.code, "the tree has changes that" in end.err) == (2, True)
    assert (cloud.log, cloud.left()) == ([], [])


def test_a_machine_that_does_not_answer(cloud: Cloud) -> None:
    cloud.run("create")
    (cloud.folder / "bad-calls").write_text("1\n2\n3\n4\n5\n6\n")
    end = cloud.run("status")
    assert (end.code, end.err.count("Connection refused")) == (255, 3)
    assert cloud.clock() == 10 + 20
    end = cloud.run("delete")
    assert (end.code, "do not say whether a unit runs" in end.err) == (2, True)


def test_list_and_reap(cloud: Cloud) -> None:
    rows = [
        "sparsetx-old,SUSPENDED,2026-01-31T12:00:00.123Z,old,v5p-8",
        "sparsetx-no,FAILED,2026-02-02T02:39:59Z,no,v6e-4",
        "sparsetx-on,ACTIVE,2026-02-02T02:00:00Z,on,v6e-4",
        "another's,FAILED,2026-01-31T12:00:00.123Z,,v5p-8",
    ]
    (cloud.folder / "others").write_text("\n".join(rows) + "\n")
    head, *lines = cloud.run("list").out.splitlines()
    assert head.split() == ["name", "type", "state", "age", "run"]
    assert [line.split()[0] for line in lines] == [
        f"sparsetx-{n}" for n in ("old", "no", "on")
    ]
    assert lines[0].split()[3] == "38h40m"  # it is 2026-02-02T02:40:00Z
    assert lines[1].split()[3:5] == ["0h00m", "no"]
    assert cloud.run("reap").code == 0
    deleted = [line.split()[5] for line in cloud.log if " delete " in line]
    assert deleted == ["sparsetx-old", "sparsetx-no"]


def test_fetch_needs_no_machine(cloud: Cloud) -> None:
    end = cloud.run("fetch", RUN="gs://bucket/my run", PROJECT="", OUT="CLOUD/x y")
    assert end.code == 0, end.err
    assert cloud.log == [
        "gcloud storage rsync --recursive '--exclude=^lock$' 'gs://bucket/my run' "
        "'CLOUD/x y'"
    ]


def test_what_to_send_back_is_one_file(cloud: Cloud) -> None:
    """Also where workers do not answer, which is when it is wanted."""
    up(cloud)
    assert cloud.run("launch", "train").code == 0
    out = cloud.folder / "report.tar.gz"
    end = cloud.run("collect", OUT=str(out))
    assert end.code == 0, end.err
    found = read(out)
    assert "step 1" in found["logs.txt"]
    assert "unit w1 running" in found["units.txt"]
    assert found["state.txt"].endswith("READY\n")
    assert "TPU_TYPE=v5litepod-8\n" in found["asked.txt"]
    assert found["metrics.jsonl"] == "{}\n"
    assert "proj" not in found["asked.txt"]
    calls = int((cloud.folder / "count-ssh").read_text())
    bad = range(calls + 1, calls + 20)
    (cloud.folder / "bad-calls").write_text("".join(f"{n}\n" for n in bad))
    end = cloud.run("collect", OUT=str(out))
    assert end.code == 0, end.err
    assert "Connection refused" in read(out)["logs.txt"]
    assert read(out)["logs.txt"].endswith("ended with 255\n")
    cloud.run("stop")


def read(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        files = [member for member in tar.getmembers() if member.isfile()]
        texts = {m.name.rpartition("/")[2]: tar.extractfile(m) for m in files}
        return {name: file.read().decode() for name, file in texts.items() if file}


def test_unlock_asks_every_worker(cloud: Cloud) -> None:
    up(cloud)
    assert cloud.run("unlock").out.count("nobody holds the TPU") == 2
