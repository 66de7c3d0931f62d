"""The rules between settings, and the kept fractions of the paper."""

import dataclasses
from typing import Any

import pytest

from sparsetx import config
from sparsetx.config import RunConfig, SparsityConfig
from sparsetx.system import fields

RUN = RunConfig()


def changed(*assignments: str) -> RunConfig:
    return fields.override(RUN, assignments, "x")


def test_the_defaults_are_fine() -> None:
    assert list(config.offences(RUN)) == []


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["model.d_pos=3"],
            'model.d_pos = 3: wanted 0, since model.positions = "none"',
        ),
        (
            ["model.positions=concatenated"],
            'model.d_pos = 0: wanted 1 or more, since model.positions = "concatenated"',
        ),
        (
            ["sparsity.anneal_end=0.01"],
            "sparsity.anneal_end = 0.01: wanted more than sparsity.anneal_start = 0.01",
        ),
        (["train.accumulate=3"], "train.batch = 512: wanted a multiple of 3"),
        (["mesh.fsdp=3", "train.batch=3"], "mesh.fsdp = 3: wanted a divisor of"),
        (["optim.eps=0"], "optim.eps = 0.0: wanted above 0"),
        (["sparsity.block=0"], "sparsity.block = 0.0: wanted above 0 and at most 1"),
        (["sparsity.block=1.1"], "sparsity.block = 1.1: wanted"),
        (["seed=-1"], "seed = -1: wanted 0 or more"),
    ],
)
def test_rules(assignments: list[str], message: str) -> None:
    found = list(config.offences(changed(*assignments)))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("sparsity", "d_model", "block", "embed"),
    [
        ({}, 1024, 1 / 64, 1 / 16),
        ({}, 256, 1 / 4, 1 / 4),
        ({}, 64, 1.0, 1.0),
        ({"base": 1 / 16}, 2048, 1 / 1024, 1 / 128),
        ({"block": 0.1, "embed": 0.2}, 1024, 0.1, 0.2),
    ],
)
def test_kept_fractions(
    sparsity: dict[str, Any], d_model: int, block: float, embed: float
) -> None:
    found = SparsityConfig(**sparsity)
    assert found.kept_block(d_model) == block
    assert found.kept_embed(d_model) == embed


def test_derived_widths() -> None:
    model = dataclasses.replace(RUN.model, n_head=3, d_head=5, d_model=20, d_pos=4)
    assert (model.d_attn, model.d_read) == (15, 24)


def test_a_run_is_hashable() -> None:
    """Programs are compiled once per configuration; it is their key."""
    assert hash(changed("seed=1")) == hash(changed("seed=1"))
