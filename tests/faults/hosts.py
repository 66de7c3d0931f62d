"""Two processes with two devices each, that play a pod of two hosts."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

CLI = ("-m", "sparsetx")
SECONDS = 180  # after which a process that hangs is killed; a loaded machine is slow
# What gloo says of its connections: several threads at once, in pieces, so that one's
# line may begin, end, or be cut, in another's.
_GLOO = re.compile(
    r"(\[Gloo\] Rank |\d| is connected to "
    r"| peer ranks\. Expected number of connected peer ranks is : )*"
)
_STARTED: "list[subprocess.Popen[str]]" = []


def environment(devices: int, **more: str) -> dict[str, str]:
    ours = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    if "SPARSETX_HOSTS" in more:  # two on gloo hang where one finds a compiled program
        ours["JAX_ENABLE_COMPILATION_CACHE"] = "0"
    return os.environ | ours | {"PYTHONUNBUFFERED": "1"} | more


def started(
    arguments: Sequence[str],
    environment: dict[str, str],
    first: Callable[[], None] | None = None,
) -> "subprocess.Popen[str]":
    """A process; `first` runs in it before the program."""
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=first,
    )
    _STARTED.append(process)
    return process


def kill_those_left() -> None:
    """A test that failed leaves processes behind, which would slow, or fail, others."""
    while _STARTED:
        process = _STARTED.pop()
        if process.returncode is None:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def output(process: "subprocess.Popen[str]", seconds: int = SECONDS) -> tuple[str, str]:
    """What it writes until it ends. Waits in turns of a second: where a shared machine
    stands still for half an hour, that is one turn, not a process that hangs."""
    for _ in range(seconds - 1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=1)
    return process.communicate(timeout=1)


def ended(*processes: "subprocess.Popen[str]") -> list[Ended]:
    """How each ended; where one hangs, all are killed, saying where they stood. All are
    read at once: one that fills a pipe which nobody reads would hang, and its peers."""
    with futures.ThreadPoolExecutor(len(processes)) as readers:
        reading = [readers.submit(output, process) for process in processes]
    try:
        texts = [each.result() for each in reading]
    except subprocess.TimeoutExpired as hung:
        for process in processes:
            process.send_signal(signal.SIGABRT)
        stood = [_ended(p, *p.communicate()) for p in processes]
        raise AssertionError("\n".join(end.err for end in stood)) from hung
    return [_ended(p, *text) for p, text in zip(processes, texts, strict=True)]


def _ended(process: "subprocess.Popen[str]", out: str, err: str) -> Ended:
    ours = [line for line in out.splitlines() if not _GLOO.fullmatch(line)]
    return Ended(process.returncode, "\n".join(ours), err)


def alone(arguments: Sequence[str], devices: int = 4) -> Ended:
    return ended(started(arguments, environment(devices)))[0]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def pair(
    arguments: Sequence[str], second: Sequence[str] = ()
) -> list["subprocess.Popen[str]"]:
    """The same command on two hosts; `second`: what only the second is told."""
    address = f"localhost:{free_port()}"
    common = {"SPARSETX_HOSTS": "2", "SPARSETX_COORDINATOR": address}
    return [
        started(
            [*arguments, *(second if host else ())],
            environment(2, **common, SPARSETX_HOST=str(host)),
        )
        for host in range(2)
    ]


def both(arguments: Sequence[str], second: Sequence[str] = ()) -> list[Ended]:
    return ended(*pair(arguments, second))


def train(experiment: Path, run: Path, *changes: str) -> list[str]:
    return [*CLI, "train", str(experiment), "--run", str(run), *changes]
