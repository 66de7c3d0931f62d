"""Every experiment resolves, is explained, and traces at full size."""

import ast
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model
from sparsetx.cli import experiment
from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.training import step
from tests.house import ROOT

EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))


def load(path: Path) -> RunConfig:
    return experiment.load(str(path))


# A large one of each kind and one that anybody runs; the others in slow tests.
QUICK = ("demo", "paper_16x", "gpt3")
TRACED = [
    pytest.param(
        path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow
    )
    for path in EXPERIMENTS
]


@pytest.mark.parametrize("path", TRACED)
def test_it_traces_at_full_size(path: Path) -> None:
    run = load(path)
    key = jax.random.key(0)
    table = None
    if run.model.bigram == "counts":
        table = jax.ShapeDtypeStruct((run.model.vocab_size,) * 2, jnp.float32)
    params = jax.eval_shape(lambda t: model.init(run.model, key, t), table)
    parameters.check_tree(run.model, params, str(path))
    state = jax.eval_shape(lambda p: step.init_state(run, p), params)
    shape = (run.train.batch, run.model.context + 1)
    rows = jax.ShapeDtypeStruct(shape, jnp.int32)
    one = functools.partial(step.train_step, run)
    after, metrics = jax.eval_shape(one, state, rows)
    jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), state, after)
    assert jax.tree.structure(state) == jax.tree.structure(after)
    assert metrics["loss"].shape == ()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_its_docstring_gives_the_command(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"experiments/{path.name}" in text


@pytest.mark.parametrize(
    ("name", "millions"),
    [("1x", 7.36), ("2x", 27.3), ("4x", 104.9), ("8x", 411.2), ("16x", 1628)],
)
def test_the_sizes_are_those_of_the_docstrings(name: str, millions: float) -> None:
    """The paper's labels are 7.4 M times the square of the width's factor; embeddings
    grow with its first power only, so larger models count fewer than their label."""
    run = load(ROOT / "experiments" / f"paper_{name}.py")
    total = sum(
        np.prod(parameters.full_shape(run.model, p), dtype=float)
        for p in parameters.table(run.model)
    )
    np.testing.assert_allclose(total / 1e6, millions, rtol=0.001)


def test_the_4x_model_keeps_what_the_paper_says() -> None:
    run = load(ROOT / "experiments" / "paper_4x.py")
    assert run.sparsity.kept_block(run.model.d_model) == 1 / 64
    assert run.sparsity.kept_embed(run.model.d_model) == 1 / 16
