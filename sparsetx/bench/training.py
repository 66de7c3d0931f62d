"""What a training step costs, by the size of the model: dense, with each part of
sparsity, and beside two limits.

From below, the step's matrix products and nothing else: forward and both backward
products of every matrix, in the step's shapes. From above, the same step in PyTorch.
Weights are annealed already: every projection is to the final budget, as in half of the
steps of a run.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from sparsetx import model, projection
from sparsetx.bench import opponent, products
from sparsetx.bench.opponent import Opponent
from sparsetx.bench.timing import USUAL, Asked, Row, race
from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.model import parameters
from sparsetx.training import loop
from sparsetx.training.step import init_state

# {d_model: (layers, batch, context)}: about 2,000 tokens a step.
SIZES = {128: (2, 24, 96), 256: (8, 16, 128), 512: (8, 8, 256), 1024: (4, 8, 256)}
ROUNDS = {128: 15, 256: 9, 512: 9, 1024: 9}
LARGE = 1024  # from this width on, models are sparser
STEPS, ANNEALED = 1000, 5e-4  # the part of the steps after which budgets are final

DENSE, ACTIVATIONS, WEIGHTS, SPARSE = "dense", "AbsTopK", "projection", "sparse (both)"
RECOMPUTED, ALONE, PRODUCTS = "sparse, remat", "projection alone", "its products alone"
# {PyTorch's contestant: (which of ours it is held against, options)}
THEIRS: Mapping[str, tuple[str, dict[str, bool]]] = {
    "PyTorch, dense": (DENSE, {}),
    "PyTorch, dense, compiled": (DENSE, {"compiled": True}),
    "PyTorch, dense, checkpoints": (DENSE, {"recompute": True}),
    "PyTorch, sparse": (SPARSE, {}),
    "PyTorch, sparse, compiled": (SPARSE, {"compiled": True}),
    "PyTorch, sparse, checkpoints": (RECOMPUTED, {"recompute": True}),
}


def base(d_model: int = 128, layers: int | None = None) -> RunConfig:
    """A sparse model of this width; of 128 and two layers, it is of the demo's kind."""
    usual, batch, context = SIZES[d_model]
    block, embed = (1 / 64, 1 / 16) if d_model >= LARGE else (1 / 16, 1 / 4)
    return RunConfig(
        model=ModelConfig(
            vocab_size=1024,
            context=context,
            n_layer=layers or usual,
            d_model=d_model,
            n_head=d_model // 16,
            d_head=16,
            d_mlp=4 * d_model,
        ),
        sparsity=SparsityConfig(
            block=block, embed=embed, anneal_start=0.0, anneal_end=ANNEALED
        ),
        optim=OptimConfig(lr=1e-2, eps=1e-8, weight_decay=0.01, warmup=0.0),
        data=DataConfig(),
        train=TrainConfig(steps=STEPS, batch=batch),
    )


def run(asked: Asked = USUAL) -> Iterator[Row]:
    for d_model in list(SIZES)[:1] if asked.quick else SIZES:
        yield from steps(base(d_model), asked, ROUNDS[d_model])


def steps(sparse: RunConfig, asked: Asked, rounds: int) -> list[Row]:
    """The race at one size."""
    configs = variants(sparse)
    ours = {name: Step(config) for name, config in configs.items()}
    alone = {
        ALONE: projected(sparse),
        PRODUCTS: products.of(sparse.model, sparse.train.batch),
    }
    theirs = {
        name: ("step", {**as_settings(configs[like]), **options})
        for name, (like, options) in THEIRS.items()
        if opponent.can_compile() or not options.get("compiled")
    }
    tokens = sparse.train.batch * sparse.model.context
    with opponent.opponents(theirs) as others:
        contestants: dict[str, Callable[[], Any]] = {**ours, **alone, **others}
        title = f"training step, {shape_of(sparse)}, {tokens:,} tokens"
        turns = asked.turns(rounds)
        rows = race(title, contestants, turns, tokens, report=asked.report)
        return [
            _told(row, rows, ours, others, sparse) if row.seconds else row
            for row in rows
        ]


def variants(sparse: RunConfig) -> dict[str, RunConfig]:
    """The model dense, and with each part of sparsity."""
    all_weights = SparsityConfig(block=1.0, embed=1.0)
    no_selection = dataclasses.replace(sparse.model, afrac=None)
    remat = dataclasses.replace(sparse.model, remat=True)
    return {
        DENSE: dataclasses.replace(sparse, model=no_selection, sparsity=all_weights),
        ACTIVATIONS: dataclasses.replace(sparse, sparsity=all_weights),
        WEIGHTS: dataclasses.replace(sparse, model=no_selection),
        SPARSE: sparse,
        RECOMPUTED: dataclasses.replace(sparse, model=remat),
    }


def shape_of(config: RunConfig) -> str:
    return f"{config.model.n_layer} layers of {config.model.d_model}"


def as_settings(config: RunConfig) -> dict[str, Any]:
    """A run's configuration in the words of the opponent."""
    optim, sparsity, width = config.optim, config.sparsity, config.model.d_model
    recipe = {
        "steps": config.train.steps,
        "lr": optim.lr,
        "betas": (optim.beta1, optim.beta2),
        "eps": optim.eps,
        "weight_decay": optim.weight_decay,
        "warmup": optim.warmup,
        "start": sparsity.anneal_start,
        "end": sparsity.anneal_end,
        "block": sparsity.kept_block(width),
        "embed": sparsity.kept_embed(width),
        "alive": sparsity.alive,
    }
    size = size_of(config.model)
    return {"size": size, "recipe": recipe, "batch": config.train.batch}


def size_of(shape: ModelConfig) -> dict[str, Any]:
    return {
        "vocab": shape.vocab_size,
        "context": shape.context,
        "layers": shape.n_layer,
        "d_model": shape.d_model,
        "heads": shape.n_head,
        "d_head": shape.d_head,
        "d_mlp": shape.d_mlp,
        "kept": shape.afrac,
    }


class Step:
    """The step that `sparsetx train` compiles; it goes on from where its last call
    ended, and gives its buffers away. Compiled by the first call."""

    def __init__(self, config: RunConfig):
        self.config = config
        self.compiled: Any = None
        self.state: Any = None
        self.rows: Any = None

    def __call__(self) -> jax.Array:
        if self.compiled is None:
            self._compile()
        self.state, metrics = self.compiled(self.state, self.rows)
        loss: jax.Array = metrics["loss"]
        jax.block_until_ready(self.state)  # the loss is there before the step is done
        return loss

    def _compile(self) -> None:
        config = self.config
        self.state = init_state(config, model.init(config.model, jax.random.key(0)))
        shape = (config.train.batch, config.model.context + 1)
        rng = np.random.default_rng(0)
        self.rows = jax.numpy.asarray(rng.integers(0, config.model.vocab_size, shape))
        lowered: Any = loop.step_function(config)
        self.compiled = lowered.lower(self.state, self.rows).compile()

    @property
    def memory(self) -> float:
        """Bytes: the state, and what is between; what comes out takes its place."""
        found: Any = self.compiled.memory_analysis()
        return float(
            found.temp_size_in_bytes
            + found.argument_size_in_bytes
            + found.output_size_in_bytes
            - found.alias_size_in_bytes
        )


def projected(config: RunConfig) -> Callable[[], Any]:
    """The projection alone, of weights that are all there."""
    params = model.init(config.model, jax.random.key(0))
    project = functools.partial(projection.project, config)
    program = jax.jit(project).lower(params, 1.0).compile()
    return lambda: program(params, 1.0)


def _told(
    row: Row,
    rows: list[Row],
    ours: Mapping[str, Step],
    others: Mapping[str, Opponent],
    config: RunConfig,
) -> Row:
    """The row with its memory, a note on what it is to be compared with, and its place
    on the growth plot."""
    seconds = {one.name: one.seconds for one in rows}
    note, memory = "", 0.0
    if row.name in ours:
        note = f"{row.seconds / seconds[PRODUCTS]:.2f} x its products"
        memory = ours[row.name].memory
    elif row.name in others:
        like = THEIRS[row.name][0]
        note = f"{row.seconds / seconds[like]:.2f} x sparsetx"
        if not THEIRS[row.name][1].get("compiled"):  # that is mostly its compiler's
            memory = others[row.name].memory
    elif row.name == ALONE:
        note = f"{row.seconds / seconds[SPARSE]:.0%} of the sparse step"
    tokens = 0 if row.name in (ALONE, PRODUCTS) else row.tokens
    return dataclasses.replace(
        row, note=note, memory=memory, tokens=tokens, plot="training step",
        size=weights(config.model) / 1e6, unit="million weights",
    )  # fmt: skip


def weights(shape: ModelConfig) -> int:
    """Entries of all matrices."""
    return sum(
        math.prod(parameters.full_shape(shape, p))
        for p in parameters.table(shape)
        if p.kind == "matrix"
    )
