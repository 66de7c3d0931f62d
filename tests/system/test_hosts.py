"""Starting and stopping on one host, and on two hosts that are simulated."""

import os

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from sparsetx.system import hosts, signals
from sparsetx.system.errors import Refusal
from sparsetx.system.signals import Stop


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)


@pytest.mark.usefixtures("two_hosts")
def test_all_hosts_stop_where_jax_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        multihost_utils, "reached_preemption_sync_point", lambda step: step == 7
    )
    stop = Stop()
    assert [hosts.told(stop, step) for step in (6, 7)] == [False, True]
    assert stop.code == 42
    stop.code = 130  # this host was the one that heard Ctrl-C
    assert hosts.told(stop, 7)
    assert stop.code == 130


def test_alone_it_stops_as_soon_as_it_is_told() -> None:
    stop = Stop()
    assert not hosts.told(stop, 1)
    stop.code = 42
    assert hosts.told(stop, 1)


@pytest.mark.usefixtures("two_hosts")
def test_what_holds_on_one_host_only_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        multihost_utils, "process_allgather", lambda x: np.array([x, True])
    )
    assert hosts.on_every_host(True)
    assert not hosts.on_every_host(False)
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    assert [hosts.on_every_host(x) for x in (True, False)] == [True, False]


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
    waits = {"heartbeat_timeout_seconds": 60, "initialization_timeout": 7}

    def initialize(*where: object, **times: int) -> None:
        calls.append(where)
        assert times == waits

    monkeypatch.setenv("SPARSETX_PATIENCE", "7")
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(jax.config, "update", lambda *a: calls.append(a))
    monkeypatch.setattr(signals, "say_at_abort", lambda message: None)
    monkeypatch.setattr(signals, "chain", lambda stop: None)
    monkeypatch.setenv("NPROC", "3")  # the user's own stays
    for name in ("SPARSETX_HOSTS", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hosts.start(Stop())
    assert calls == called
    assert os.environ["NPROC"] == "3"


def test_a_heartbeat_that_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARSETX_HEARTBEAT", "soon")
    with pytest.raises(Refusal, match="SPARSETX_HEARTBEAT: wanted whole seconds, got"):
        hosts.start(Stop())
