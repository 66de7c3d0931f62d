"""A worker's environment: made once, and with a newer Python where only 3.10 is."""

import os
from pathlib import Path

from tests.tpu.cloud import FAKES, Cloud, Ended, ended, tools

UV = """#!/usr/bin/env bash
echo "uv $*" >>"$HOME/made"
case "$*" in
  "python install"*)
    [ -z "$OFFLINE" ] || exit 1
    mkdir -p "$UV_PYTHON_INSTALL_DIR"
    cp "$STUB" "$UV_PYTHON_INSTALL_DIR/python3"
    ;;
  "python find"*) echo "$UV_PYTHON_INSTALL_DIR/python3" ;;
esac
"""
OLD = """#!/usr/bin/env bash
# Python 3.10, whose pip installs a uv.
case "$*" in
  -V) echo "Python 3.10.12" ;;
  *ensurepip*) exit 1 ;;
  "-m pip install"*)
    echo "old pip: $*" >>"$HOME/made"
    while [ "$1" != --target ]; do shift; done
    mkdir -p "$2/bin" && printf '%s' "$UV" >"$2/bin/uv" && chmod +x "$2/bin/uv"
    ;;
  *) exit 9 ;;
esac
"""
TOOLS = (
    "bash", "cat", "chmod", "cp", "cut", "dirname", "env", "flock", "grep", "hostname",
    "mkdir", "rm", "sha256sum", "sleep",
)  # fmt: skip


def installed(cloud: Cloud, path: str, **more: str) -> Ended:
    home = cloud.folder / "home"
    home.mkdir(exist_ok=True)
    ours = {"HOME": str(home), "PATH": path, "STUB": str(FAKES / "worker" / "python3")}
    return ended(cloud.start(["tpu/install.sh"], **(ours | {"UV": UV} | more)))


def made(cloud: Cloud) -> list[str]:
    lines = (cloud.folder / "home" / "made").read_text().splitlines()
    folders = ((cloud.folder, "CLOUD"), (cloud.code, "CODE"))
    for folder, name in folders:
        lines = [line.replace(str(folder), name) for line in lines]
    return lines


def test_it_is_made_once_and_again_when_a_pin_changes(cloud: Cloud) -> None:
    path = f"{FAKES / 'worker'}:{os.environ['PATH']}"
    end = installed(cloud, path)
    assert end.code == 0, end.err
    assert made(cloud) == [
        "venv",
        "-m pip install --quiet --disable-pip-version-check --constraint "
        "CODE/constraints.txt CODE[tpu,gcs]",
    ]
    assert "nothing to do" in installed(cloud, path).out
    assert len(made(cloud)) == 2
    (cloud.folder / "home" / ".sparsetx" / "venv" / "stamp").write_text("older\n")
    assert "ready" in installed(cloud, path).out
    assert len(made(cloud)) == 3  # pip again, in the same environment
    assert "ready" in installed(cloud, path, EXTRAS="gcs").out
    assert made(cloud)[3].endswith("CODE/constraints.txt CODE[gcs]")


def only_3_10(cloud: Cloud) -> str:
    """A PATH with the tools that it needs and no other Python."""
    folder = Path(tools(cloud.folder / "image", *TOOLS))
    (folder / "python3").write_text(OLD)
    (folder / "python3").chmod(0o755)
    return str(folder)


def test_where_only_python_3_10_is_a_newer_one_is_fetched(cloud: Cloud) -> None:
    end = installed(cloud, only_3_10(cloud))
    assert end.code == 0, end.err
    assert "no Python 3.11 here (Python 3.10.12): fetching 3.11.14" in end.err
    first, *rest = made(cloud)
    assert first.startswith("old pip: ")
    assert "uv==" in first  # pinned, by constraints.txt
    assert rest[:3] == [
        "uv python install --no-bin 3.11.14",
        "uv python find --managed-python --no-project 3.11.14",
        "venv",
    ]
    assert "ready" in end.out


def test_where_none_can_be_fetched_it_says_what_to_set(cloud: Cloud) -> None:
    end = installed(cloud, only_3_10(cloud), OFFLINE="1")
    assert end.code == 1
    assert "no Python could be fetched: set UV_PYTHON_INSTALL_MIRROR" in end.err
    assert "ready" not in end.out


def test_a_python_that_is_named_must_do(cloud: Cloud) -> None:
    path = only_3_10(cloud)
    end = installed(cloud, path, SPARSETX_PYTHON="python3")
    assert end.code == 2
    assert "SPARSETX_PYTHON=python3 is not Python 3.11 or newer" in end.err
