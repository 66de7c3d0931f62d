"""Two processes with two devices each, that play a pod of two hosts."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLI = ("-m", "sparsetx")
SECONDS = 90  # after which a process that hangs is killed


def environment(devices: int, **more: str) -> dict[str, str]:
    ours = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    return os.environ | ours | {"PYTHONUNBUFFERED": "1"} | more


def started(
    arguments: Sequence[str], environment: dict[str, str]
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def ended(process: "subprocess.Popen[str]") -> Ended:
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    ours = [line for line in out.splitlines() if not line.startswith("[Gloo]")]
    return Ended(process.returncode, "\n".join(ours), err)


def alone(arguments: Sequence[str], devices: int = 4) -> Ended:
    return ended(started(arguments, environment(devices)))


def pair(
    arguments: Sequence[str], second: Sequence[str] = ()
) -> list["subprocess.Popen[str]"]:
    """The same command on two hosts; `second`: what only the second is told."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    common = {"SPARSETX_HOSTS": "2", "SPARSETX_COORDINATOR": address}
    return [
        started(
            [*arguments, *(second if host else ())],
            environment(2, **common, SPARSETX_HOST=str(host)),
        )
        for host in range(2)
    ]


def both(arguments: Sequence[str], second: Sequence[str] = ()) -> list[Ended]:
    processes = pair(arguments, second)
    return [ended(process) for process in processes]


def train(experiment: Path, run: Path, *changes: str) -> list[str]:
    return [*CLI, "train", str(experiment), "--run", str(run), *changes]
