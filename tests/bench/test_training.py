"""What a step costs, at its smallest: who races, and what is said of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx.bench import opponent, products, training
from sparsetx.bench.timing import Asked
from sparsetx.config import ModelConfig, SparsityConfig, TrainConfig
from sparsetx.model import parameters

SMALL = dataclasses.replace(
    training.base(),
    model=ModelConfig(
        vocab_size=32, context=8, n_layer=1, d_model=16, n_head=2, d_head=8, d_mlp=32
    ),
    sparsity=SparsityConfig(
        block=1 / 4, embed=1 / 2, alive=2, anneal_start=0.0, anneal_end=5e-4
    ),
    train=TrainConfig(steps=10, batch=2),
)


@pytest.mark.slow
def test_each_part_of_the_cost_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponent, "python", lambda: None)
    rows = training.steps(SMALL, Asked(rounds=1), 1)
    assert [row.name for row in rows] == [
        "dense",
        "AbsTopK",
        "projection",
        "sparse (both)",
        "sparse, remat",
        "projection alone",
        "its products alone",
    ]
    assert rows[0].ratio == 1
    for row in rows[:5]:
        assert row.note.endswith(" x its products")
        assert row.tokens == 16
        assert row.memory > 3 * 4 * training.weights(SMALL.model)
    assert rows[5].note.endswith(" of the sparse step")
    assert (rows[6].tokens, rows[6].note) == (0, "")


@pytest.mark.parametrize("d_model", training.SIZES)
def test_every_size_can_be_trained(d_model: int) -> None:
    config = training.base(d_model)
    parameters.check(config)
    tokens = config.train.batch * config.model.context
    assert 2000 <= tokens <= 2400
    sizes = [training.weights(training.base(d).model) for d in training.SIZES]
    assert sizes == sorted(sizes)


def test_weights_are_the_entries_of_all_matrices() -> None:
    block = 16 * 48 + 16 * 16 + 2 * 16 * 32
    assert training.weights(SMALL.model) == block + 2 * 32 * 16


def test_budgets_are_final_from_the_first_step() -> None:
    config = training.base()
    assert 1 / config.train.steps > config.sparsity.anneal_end


def test_the_opponent_is_told_the_same() -> None:
    told = training.as_settings(SMALL)
    assert told["size"]["d_model"] == 16
    assert told["size"]["kept"] == SMALL.model.afrac
    assert told["recipe"]["block"] == 1 / 4
    assert told["batch"] == 2
    dense = training.variants(SMALL)[training.DENSE]
    assert training.as_settings(dense)["recipe"]["embed"] == 1
    assert training.as_settings(dense)["size"]["kept"] is None


def test_products_are_those_of_the_step() -> None:
    """The chain's gradient, by JAX."""
    key = jax.random.key(0)
    layers = [products._layer(SMALL.model, key) for key in jax.random.split(key, 2)]
    last = jax.random.normal(key, (16, 32))
    x = jax.random.normal(key, (5, 16))

    def half(
        layers: list[products.Weights], last: jax.Array, x: jax.Array
    ) -> jax.Array:
        for w in layers:
            values = sum(jnp.split(x @ w[parameters.QKV], 3, -1)[:1])
            x = values @ w[parameters.O] @ w[parameters.FC] @ w[parameters.PROJ]
        return jnp.sum(jnp.square(x @ last)) / 2

    # The slope of q and k is not zero in the chain, so only the last layer's are.
    wanted_layers, wanted_last = jax.grad(half, (0, 1))(layers, last, x)
    gradient, _ = products.chain(layers, last, x)
    np.testing.assert_allclose(gradient[0], wanted_last, rtol=1e-4)
    names = (parameters.PROJ, parameters.FC, parameters.O)
    for found, name in zip(gradient[1:4], names, strict=True):
        np.testing.assert_allclose(found, wanted_layers[1][name], rtol=1e-4)
    assert len(gradient) == 1 + 2 * 4
