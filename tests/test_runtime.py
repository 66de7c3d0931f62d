"""Starting, and being asked to stop, on one host or on two that are played by one."""

import os
import signal
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from sparsetx import runtime


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)


@pytest.fixture
def handlers() -> Iterator[None]:
    """What the tests of signals must leave as they found it."""
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    yield
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)]
)
@pytest.mark.usefixtures("handlers")
def test_a_signal_asks_once_and_a_second_one_insists(number: int, code: int) -> None:
    with runtime.stoppable() as stop:
        assert not stop.agreed(0)
        os.kill(os.getpid(), number)
        assert stop.agreed(1)
        assert stop.code == code
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.usefixtures("handlers", "two_hosts")
def test_on_many_hosts_ctrl_c_is_passed_on_and_all_stop_where_jax_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append(number))
    monkeypatch.setattr(
        multihost_utils, "reached_preemption_sync_point", lambda step: step == 7
    )
    with runtime.stoppable() as stop:
        signal.raise_signal(signal.SIGINT)
        assert told == [signal.SIGTERM]
        assert [stop.agreed(step) for step in (6, 7)] == [False, True]
        assert stop.code == 130
    with runtime.stoppable() as other:
        assert other.agreed(7)
        assert other.code == 42


@pytest.mark.usefixtures("two_hosts")
def test_what_holds_on_one_host_only_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        multihost_utils, "process_allgather", lambda x: np.array([x, True])
    )
    assert runtime.on_every_host(True)
    assert not runtime.on_every_host(False)
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    assert [runtime.on_every_host(x) for x in (True, False)] == [True, False]


@pytest.mark.parametrize(
    ("environment", "called"),
    [
        ({}, []),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, []),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, [()]),
        (
            {
                "SPARSETX_HOSTS": "2",
                "SPARSETX_HOST": "1",
                "SPARSETX_COORDINATOR": "localhost:1",
            },
            [("jax_cpu_enable_async_dispatch", False), ("localhost:1", 2, 1)],
        ),
    ],
)
def test_hosts_are_joined_where_there_are_several(
    environment: dict[str, str],
    called: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *a: calls.append(a))
    monkeypatch.setattr(jax.config, "update", lambda *a: calls.append(a))
    monkeypatch.setenv("NPROC", "3")  # the user's own stays
    for name in ("SPARSETX_HOSTS", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    runtime.start()
    assert calls == called
    assert os.environ["NPROC"] == "3"
