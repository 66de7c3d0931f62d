"""Starting on one host or many, and being asked to stop.

A pod's hosts run the same program; before they start they compare what must be equal
(`agree`). A run that is told to stop ends at the next step boundary with its state
saved: exit code 42 after SIGTERM ("run me again"), 130 after Ctrl-C.
"""

import contextlib
import hashlib
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import jax
import numpy as np

from sparsetx.errors import Refusal

AGAIN = 42
INTERRUPTED = 130


def start() -> None:
    """Join the other hosts, where there are some: a TPU pod, or SPARSETX_HOSTS."""
    hosts = int(os.environ.get("SPARSETX_HOSTS", "1"))
    if hosts > 1:
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            _room_for_collectives()
        jax.distributed.initialize(
            os.environ["SPARSETX_COORDINATOR"], hosts, int(os.environ["SPARSETX_HOST"])
        )
    elif "," in os.environ.get("TPU_WORKER_HOSTNAMES", ""):
        jax.distributed.initialize()


def _room_for_collectives() -> None:
    """Processes that play hosts on a CPU: a collective holds a thread until its peers
    come, and XLA begins independent ones in any order. With a thread for every core,
    two hosts wait for each other for ever; so: more threads, and one program at a time.
    """
    os.environ.setdefault("NPROC", "64")
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def device_per_core() -> None:
    """On a CPU, a device for each core: what runs side by side has one of its own. Must
    come before JAX is first asked for its devices; an environment that says how many
    there are is heeded."""
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


def is_first_host() -> bool:
    """The host that writes what only one may write."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Every host waits here until all have come."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)


def on_every_host(mine: bool) -> bool:
    """Whether it is so on all hosts; every host must ask."""
    if jax.process_count() == 1:
        return mine
    from jax.experimental import multihost_utils

    return bool(np.all(multihost_utils.process_allgather(np.array(mine))))


def agree(facts: Mapping[str, Any]) -> None:
    """Refuse to start where hosts differ in versions, code or configuration."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    digests = [_digest(value) for value in facts.values()]
    name = socket.gethostname().encode()[:64].ljust(64)
    row = np.frombuffer(b"".join([*digests, name]), np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(row))
    hosts = [bytes(r[-64:]).decode().strip() for r in rows]
    offences = []
    for i, fact in enumerate(facts):
        seen = [bytes(r[8 * i : 8 * i + 8]) for r in rows]
        odd = [h for h, value in zip(hosts, seen, strict=True) if value != seen[0]]
        if odd:
            offences.append(f"{fact}: {', '.join(odd)} differ from {hosts[0]}")
    if offences:
        raise Refusal("the hosts do not agree:\n  - " + "\n  - ".join(offences))


def _digest(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).digest()[:8]


class Stop:
    """Whether, and with what exit code, the run has been asked to end."""

    def __init__(self) -> None:
        self.code = 0

    def __bool__(self) -> bool:
        return self.code != 0

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self.code:  # asked twice: the user means now
            raise KeyboardInterrupt
        self.code = AGAIN if number == signal.SIGTERM else INTERRUPTED

    def agreed(self, step: int) -> bool:
        """True on every host at the same step, soon after one of them was asked."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            # Hosts tell one another through the coordinator, not through the devices:
            # asking costs no transfer and keeps no step waiting.
            if multihost_utils.reached_preemption_sync_point(step):
                self.code = self.code or AGAIN
                return True
            return False
        return bool(self)


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGTERM and Ctrl-C into a request that the loop sees at its next step.

    On many hosts SIGTERM belongs to JAX, which tells the other hosts of it; Ctrl-C on
    one of them is passed on to it as a SIGTERM.
    """
    stop = Stop()
    alone = jax.process_count() == 1

    def pass_on(number: int, frame: FrameType | None) -> None:
        stop.ask(number, frame)
        os.kill(os.getpid(), signal.SIGTERM)

    handlers: dict[int, Any] = {signal.SIGINT: stop.ask if alone else pass_on}
    if alone:
        handlers[signal.SIGTERM] = stop.ask
    before = {number: signal.signal(number, h) for number, h in handlers.items()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
