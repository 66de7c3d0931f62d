"""Runs on several hosts: joining them, comparing their setup, stopping together.

A pod's hosts run the same program. Before they start they compare what must be equal
(`agree`), and when one of them is told to stop, all stop at the same step (`told`). If
one dies, the others end too: they cannot continue without its part of the arrays.
"""

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from sparsetx.system import signals
from sparsetx.system.errors import Refusal
from sparsetx.system.signals import Stop

HEARTBEAT = 60  # seconds without a heartbeat after which a host counts as dead
PATIENCE = 300  # seconds to wait for all hosts to start
# JAX calls abort() in a process whose peers are gone; this is printed then.
LOST = """
sparsetx: another host of this run died, or did not start in time, so this one ends too.
The log of the host that ended first says why. Then start all hosts again: the run
resumes from its last saved step.
"""


def start(stop: Stop) -> None:
    """Join the other hosts, if there are any: of a TPU pod, or by SPARSETX_HOSTS.
    SPARSETX_HEARTBEAT and SPARSETX_PATIENCE set how long to wait, in seconds."""
    hosts = int(os.environ.get("SPARSETX_HOSTS", "1"))
    times: dict[str, Any] = {
        "heartbeat_timeout_seconds": _seconds("SPARSETX_HEARTBEAT", HEARTBEAT),
        "initialization_timeout": _seconds("SPARSETX_PATIENCE", PATIENCE),
    }
    if hosts > 1:
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            _room_for_collectives()
        signals.say_at_abort(LOST)
        where = os.environ["SPARSETX_COORDINATOR"], hosts
        jax.distributed.initialize(*where, int(os.environ["SPARSETX_HOST"]), **times)
    elif "," in os.environ.get("TPU_WORKER_HOSTNAMES", ""):
        signals.say_at_abort(LOST)
        jax.distributed.initialize(**times)
    else:
        return
    signals.chain(stop)


def _seconds(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise Refusal(f"{name}: wanted whole seconds, got {text!r}")
    return int(text)


def _room_for_collectives() -> None:
    """Avoid a deadlock of processes that act as hosts on a CPU: a collective blocks a
    thread until its peers arrive, and XLA starts independent collectives in any order.
    With one thread per core, two hosts wait for each other for ever; so use more
    threads, and run one program at a time."""
    os.environ.setdefault("NPROC", "64")
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def device_per_core() -> None:
    """On a CPU, make one JAX device per core, so that lanes run in parallel. Call it
    before JAX is first asked for its devices; JAX_NUM_CPU_DEVICES takes precedence."""
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


def is_first_host() -> bool:
    """Whether this is the host that writes the files that only one may write."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Wait until every host has reached this call."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)


def on_every_host(mine: bool) -> bool:
    """Whether `mine` is true on all hosts; every host must call it."""
    if jax.process_count() == 1:
        return mine
    from jax.experimental import multihost_utils

    return bool(np.all(multihost_utils.process_allgather(np.array(mine))))


def agree(facts: Mapping[str, Any]) -> None:
    """Refuse to start if hosts differ in versions, code or configuration."""
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


def told(stop: Stop, step: int) -> bool:
    """Whether to stop: true on all hosts at the same step, soon after one is told."""
    if jax.process_count() == 1:
        return bool(stop)
    from jax.experimental import multihost_utils

    # Hosts communicate through the coordinator, not through the devices: this needs no
    # transfer and delays no step.
    if not multihost_utils.reached_preemption_sync_point(step):
        return False
    stop.code = stop.code or signals.AGAIN
    return True
