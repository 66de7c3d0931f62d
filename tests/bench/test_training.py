"""What sparsity costs a step, at its smallest: who races, and what is said of them."""

import dataclasses

import pytest

from sparsetx.bench import training
from sparsetx.config import ModelConfig, SparsityConfig, TrainConfig

SMALL = dataclasses.replace(
    training.base(),
    model=ModelConfig(
        vocab_size=32, context=8, n_layer=1, d_model=16, n_head=2, d_head=8, d_mlp=32
    ),
    sparsity=SparsityConfig(block=1 / 4, embed=1 / 2, alive=2),
    train=TrainConfig(steps=10, batch=2),
)


@pytest.mark.slow
def test_each_part_of_the_cost_has_its_row() -> None:
    rows = training.run(SMALL, rounds=1)
    assert [row.name for row in rows] == [
        "dense, no AbsTopK",
        "with AbsTopK",
        "with projection",
        "with both (sparse)",
        "the projection alone",
    ]
    assert rows[0].ratio == 1
    assert all(row.tokens == 16 and row.note.startswith("peak ") for row in rows[:-1])
    assert (rows[-1].tokens, rows[-1].note) == (0, "")
