"""What is left of a model, counted by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes, projection
from sparsetx.config import RunConfig, SparsityConfig
from sparsetx.model import parameters
from sparsetx.projection import density
from tests.small import SMALL, params_of


def row(rows: list[density.Density], name: str, layer: int | None) -> density.Density:
    (found,) = [r for r in rows if (r.name, r.layer) == (name, layer)]
    return found


def test_every_parameter_and_layer_has_a_row() -> None:
    rows = density.report(SMALL, params_of(SMALL))
    wanted = [
        (p.name, layer)
        for p in parameters.table(SMALL)
        for layer in (range(SMALL.n_layer) if p.stacked else [None])
    ]
    assert [(r.name, r.layer) for r in rows] == wanted
    assert all(r.fraction == 1 for r in rows if r.name.endswith("/w"))


def test_neurons_are_counted_along_their_own_axis() -> None:
    params = params_of(SMALL)
    fc = np.array(params["blocks"]["fc"]["w"])  # [layer, read, neuron]
    fc[1, :, 3] = 0  # a dead neuron
    fc[1, 1:, 4] = 0  # one that reads a single channel
    proj = np.array(params["blocks"]["proj"]["w"])  # [layer, neuron, channel]
    proj[0, 7, :5] = 0
    params = parameters.replaced(
        params,
        {
            ("blocks", "fc", "w"): jnp.asarray(fc),
            ("blocks", "proj", "w"): jnp.asarray(proj),
        },
    )
    rows = density.report(SMALL, params)
    reads = nodes.width(SMALL, nodes.MLP_IN)
    assert row(rows, "blocks/fc/w", 0).neurons == density.Spread(reads, reads, reads, 0)
    assert row(rows, "blocks/fc/w", 1).neurons == density.Spread(0, reads, reads, 1)
    lost = row(rows, "blocks/proj/w", 0)
    assert lost.neurons == density.Spread(SMALL.d_model - 5, 24, SMALL.d_model, 0)
    assert lost.nonzero == lost.size - 5
    assert row(rows, "embed/w", None).neurons is None


def test_a_projected_model_has_its_budget_and_nobody_is_dead() -> None:
    run = RunConfig(model=SMALL, sparsity=SparsityConfig(block=0.25, embed=0.5))
    project = jax.jit(functools.partial(projection.project, run))
    params = project(params_of(SMALL), jnp.float32(1.0))
    rows = density.report(SMALL, params)
    for budget in projection.budgets(run):
        for r in rows:
            if r.name == budget.parameter.name:
                assert r.nonzero == budget.final
                assert r.neurons is None or r.neurons.least >= run.sparsity.alive
                assert r.neurons is None or r.neurons.dead == 0
