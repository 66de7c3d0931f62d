"""What sparsity costs a training step: the model dense, then with each part added."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from sparsetx import model, projection
from sparsetx.bench.timing import Row, race
from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.training.step import init_state, train_step

MIB = 2**20


def base() -> RunConfig:
    """A small model of the demo's kind."""
    return RunConfig(
        model=ModelConfig(
            vocab_size=1024,
            context=96,
            n_layer=2,
            d_model=128,
            n_head=8,
            d_head=16,
            d_mlp=512,
        ),
        sparsity=SparsityConfig(block=1 / 16, embed=1 / 4),
        optim=OptimConfig(lr=1e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(),
        train=TrainConfig(steps=1000, batch=32),
    )


def run(sparse: RunConfig | None = None, rounds: int = 9) -> list[Row]:
    sparse = sparse or base()
    dense_weights = SparsityConfig(block=1.0, embed=1.0)
    no_selection = dataclasses.replace(sparse.model, afrac=None)
    runs = {
        "dense, no AbsTopK": dataclasses.replace(
            sparse, model=no_selection, sparsity=dense_weights
        ),
        "with AbsTopK": dataclasses.replace(sparse, sparsity=dense_weights),
        "with projection": dataclasses.replace(sparse, model=no_selection),
        "with both (sparse)": sparse,
    }
    steps = {name: _Step(config) for name, config in runs.items()}
    alone = jax.jit(functools.partial(projection.project, sparse))
    params = steps["with both (sparse)"].state.params
    contestants = dict(steps) | {"the projection alone": lambda: alone(params, 0.3)}
    tokens = sparse.train.batch * sparse.model.context
    shape = f"{sparse.model.n_layer} layers of {sparse.model.d_model} channels"
    rows = race(f"training step, {shape}", contestants, rounds, tokens)
    return [_with_memory(row, steps.get(row.name)) for row in rows]


class _Step:
    """A compiled step that goes on from where its last call ended."""

    def __init__(self, config: RunConfig):
        params = model.init(config.model, jax.random.key(0))
        self.state = init_state(config, params)
        shape = (config.train.batch, config.model.context + 1)
        rng = np.random.default_rng(0)
        self.rows = jax.numpy.asarray(rng.integers(0, config.model.vocab_size, shape))
        step = functools.partial(train_step, config)
        self.compiled = jax.jit(step).lower(self.state, self.rows).compile()

    def __call__(self) -> jax.Array:
        self.state, metrics = self.compiled(self.state, self.rows)
        loss: jax.Array = metrics["loss"]
        return loss

    @property
    def memory(self) -> float:
        """Bytes: the state twice (nothing is donated here), and what is between."""
        found: Any = self.compiled.memory_analysis()
        return float(
            found.temp_size_in_bytes
            + found.argument_size_in_bytes
            + found.output_size_in_bytes
        )


def _with_memory(row: Row, step: _Step | None) -> Row:
    if step is None:
        return dataclasses.replace(row, tokens=0)
    return dataclasses.replace(row, note=f"peak {step.memory / MIB:,.0f} MiB")
