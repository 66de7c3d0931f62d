"""The table of parameters against the model that it describes."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
import pytest

from sparsetx import model, nodes
from sparsetx.config import ModelConfig, RunConfig
from sparsetx.model import parameters
from sparsetx.system import fields
from sparsetx.system.errors import Refusal
from tests.small import SMALL, params_of

CONFIGS = {
    "everything": SMALL,
    "plain": dataclasses.replace(
        SMALL, sink=False, bigram="none", positions="none", d_pos=0, final_bias=False
    ),
    "added": dataclasses.replace(SMALL, positions="added", d_pos=0),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_table_covers_the_model(name: str) -> None:
    config = CONFIGS[name]
    shapes = jax.eval_shape(lambda: model.init(config, jax.random.key(0)))
    parameters.check_tree(config, shapes, "init")


def test_every_misfit_is_named() -> None:
    params: dict[str, Any] = jax.tree.map(np.asarray, params_of(SMALL))
    fc = dict(params[parameters.BLOCKS][parameters.FC])
    fc[parameters.W] = fc[parameters.W][:, :, :-1]
    fc["bb"] = fc.pop(parameters.B)
    params[parameters.BLOCKS] = params[parameters.BLOCKS] | {parameters.FC: fc}
    del params[parameters.UNEMBED]
    with pytest.raises(Refusal) as refused:
        parameters.check_tree(SMALL, params, "that file")
    for part in (
        "blocks/fc/w: wanted shape (3, 29, 40), got (3, 29, 39)",
        "blocks/fc/b: missing (wanted shape (3, 40))",
        "blocks/fc/bb: not in the table; did you mean blocks/fc/b",
        "unembed/w: missing",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_edges_join_sites_of_their_shape(name: str) -> None:
    config = CONFIGS[name]
    found = dict(parameters.leaves(params_of(config)))
    kinds = parameters.edges(config)
    assert [k.name for k in kinds] == ["W_q", "W_k", "W_v", "W_o", "W_fc", "W_proj"]
    columns = 0
    for kind in kinds:
        part = found[kind.path][:, :, kind.columns]
        wanted = (nodes.width(config, kind.source), nodes.width(config, kind.target))
        assert part.shape[1:] == wanted, kind.name
        columns += part.shape[2]
    blocks = [p for p in parameters.table(config) if p.sparse == "block"]
    assert columns == sum(p.shape[1] for p in blocks)


def test_neurons_lie_along_the_axis_of_the_table() -> None:
    """qkv and fc: a neuron's own weights are its column; o and proj: its row."""
    axes = {p.name: p.neuron_axis for p in parameters.table(SMALL)}
    assert axes["blocks/qkv/w"] == axes["blocks/fc/w"] == 1
    assert axes["blocks/o/w"] == axes["blocks/proj/w"] == 0
    assert axes["embed/w"] is axes["blocks/o/b"] is None


def test_gains_tables_and_sinks_are_never_sparse() -> None:
    for parameter in parameters.table(SMALL):
        if parameter.kind in ("gain", "table", "sink"):
            assert parameter.sparse is None


def test_replaced_touches_nothing_else() -> None:
    params = params_of(SMALL)
    path = (parameters.BLOCKS, parameters.O, parameters.B)
    changed = dict(parameters.leaves(parameters.replaced(params, {path: 1})))
    for other, leaf in parameters.leaves(params):
        assert changed[other] is (1 if other == path else leaf) or other == path
    assert changed[path] == 1


def test_too_few_weights_for_every_neuron() -> None:
    run = fields.override(RunConfig(), ["sparsity.block=0.001"], "x")
    with pytest.raises(Refusal) as refused:
        parameters.check(run)
    text = str(refused.value)
    assert "blocks/qkv/w keeps 12,582 weights (fraction 0.001 of 2048 x 6144)" in text
    assert "too few for 24,576; wanted alive <= 2, or a fraction >= 0.001953" in text
    parameters.check(fields.override(run, ["sparsity.alive=2"], "x"))


def test_checks_of_a_run_come_together() -> None:
    run = fields.override(RunConfig(), ["model.afrac_sites=attn", "seed=-1"], "x")
    with pytest.raises(Refusal, match="seed = -1"):
        parameters.check(run)
    run = fields.override(RunConfig(), ["model.afrac_sites=attn,mlp_in"], "x")
    with pytest.raises(Refusal, match=r"AbsTopK cannot act at 'attn'; did you mean"):
        parameters.check(run)
    with pytest.raises(Refusal, match=r"d_pos = 3: wanted 0"):
        parameters.check_model(ModelConfig(d_pos=3))


def test_counts_of_the_defaults() -> None:
    total = sum(
        math.prod(parameters.full_shape(RunConfig().model, p))
        for p in parameters.table(RunConfig().model)
    )
    # 8 layers of 12·d² and their biases and gains, two embeddings, the last gain.
    d = 2048
    assert total == 8 * (12 * d * d + 9 * d + 2 * d) + 2 * 2048 * d + d
