"""Slices by any of their names, and errors."""

import dataclasses
from pathlib import Path

import pytest

from sparsetx.aot import topology
from sparsetx.system.errors import Refusal


@pytest.mark.parametrize(
    ("name", "chips", "jax"),
    [
        ("v5e-16", 16, "v5e:4x4"),
        ("v5litepod-256", 256, "v5e:16x16"),
        ("v5e:4x4", 16, "v5e:4x4"),
        ("v5p-8", 4, "v5:2x2x1"),
        ("v5p-1024", 512, "v5:8x8x8"),
        ("v6e-32", 32, "v6e:4x8"),
        ("v4-32", 16, "v4:2x2x4"),
    ],
)
def test_names(name: str, chips: int, jax: str) -> None:
    found = topology.find(name)
    assert (found.chips, found.jax) == (chips, jax)


def test_short_names_are_found_again() -> None:
    for one in topology.table():
        assert topology.find(topology.short(one)) == one
        host = topology.host_of(one)
        assert (host.hosts, host.chips * one.hosts) == (1, one.chips)


def test_an_unknown_name_gets_the_near_ones() -> None:
    with pytest.raises(Refusal, match=r"'v5e-17': did you mean .*v5e-1"):
        topology.find("v5e-17")


def test_without_the_table() -> None:
    with pytest.raises(Refusal, match="run this in a clone"):
        topology.table(Path("/nowhere/types.tsv"))


def test_the_vector_unit_runs_at_the_clock_of_the_matrix_units() -> None:
    """1.5 GHz for v5e: 1024 lanes of four units."""
    v5e = topology.find("v5e-16")
    assert abs(v5e.vector / (1.5e9 * 4096) - 1) < 0.01
    faster = dataclasses.replace(v5e, products=2 * v5e.products)
    assert faster.vector == 2 * v5e.vector


def test_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refusal, match="compiler is not installed here: make aot-check"):
        topology.devices(topology.find("v5e-16"))
