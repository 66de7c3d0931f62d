"""The opponent of the benchmarks does equal work: its steps and masks are ours."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from sparsetx import model, nodes
from sparsetx.bench import pruning, training
from sparsetx.bench.pytorch import selection
from sparsetx.bench.pytorch.masks import Pool, Search
from sparsetx.bench.pytorch.masks import Settings as TheirSettings
from sparsetx.bench.pytorch.network import Network, Size
from sparsetx.bench.pytorch.step import Recipe, Step
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import lanes, mask_search
from sparsetx.circuits.search.mask_search import Plan, Settings
from sparsetx.config import ModelConfig, RunConfig, SparsityConfig, TrainConfig
from sparsetx.training.loop import step_function
from sparsetx.training.step import init_state

pytestmark = pytest.mark.torch

STEPS = 6
SHAPE = ModelConfig(
    vocab_size=40, context=12, n_layer=2, d_model=32, n_head=2, d_head=16, d_mlp=64
)


def small(**changes: Any) -> RunConfig:
    """The benchmark's run, tiny. With a small eps Adam would turn the rounding of
    gradients that are exactly zero, as those of key biases are, into steps."""
    usual = training.base()
    return dataclasses.replace(
        usual,
        model=dataclasses.replace(SHAPE, **changes),
        sparsity=dataclasses.replace(usual.sparsity, block=1 / 4, embed=1 / 2),
        optim=dataclasses.replace(usual.optim, eps=0.1),
        train=TrainConfig(steps=STEPS, batch=3),
    )


def as_state(params: Any) -> dict[str, torch.Tensor]:
    """Our parameters by the names of PyTorch's modules; these hold [out, in]."""
    blocks = params["blocks"]
    found = {
        "embed.weight": params["embed"]["w"],
        "norm.weight": params["final_norm"]["gain"],
        "unembed.weight": params["unembed"]["w"].T,
    }
    for i in range(len(blocks["qkv"]["w"])):
        for name in ("attn_norm", "mlp_norm"):
            found[f"blocks.{i}.{name}.weight"] = blocks[name]["gain"][i]
        for name in ("qkv", "o", "fc", "proj"):
            found[f"blocks.{i}.{name}.weight"] = blocks[name]["w"][i].T
            found[f"blocks.{i}.{name}.bias"] = blocks[name]["b"][i]
    return {name: torch.tensor(np.array(x)) for name, x in found.items()}


def their_step(config: RunConfig, recompute: bool = False) -> Step:
    settings = training.as_settings(config)
    return Step(Size(**settings["size"]), Recipe(**settings["recipe"]), recompute)


@pytest.mark.parametrize(
    ("config", "recompute"),
    [
        (small(afrac=None), False),
        (small(), False),
        (small(), True),
        (dataclasses.replace(small(), sparsity=SparsityConfig(1, 1, 1)), False),
    ],
    ids=["projection", "sparse", "checkpoints", "AbsTopK"],
)
def test_the_opponents_steps_are_ours(config: RunConfig, recompute: bool) -> None:
    params = model.init(config.model, jax.random.key(3))
    rng = np.random.default_rng(1)
    batches = rng.integers(0, SHAPE.vocab_size, (STEPS, 3, SHAPE.context + 1))
    theirs = their_step(config, recompute)
    theirs.network.load_state_dict(as_state(params))
    state, step = init_state(config, params), step_function(config)
    for rows in batches:
        state, metrics = step(state, jnp.asarray(rows, jnp.int32))
        assert theirs(torch.tensor(rows)) == pytest.approx(
            float(metrics["loss"]), abs=1e-5
        )
    found, zeros = theirs.network.state_dict(), 0
    for name, wanted in as_state(state.params).items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(found[name] == 0, wanted == 0), name
        zeros += int((wanted == 0).sum())
    assert (zeros > 1000) == (config.sparsity.block != 1)


def test_the_opponents_masks_are_ours() -> None:
    """From one pair, so that both draw the same batches."""
    steps, pairs = 5, 2
    params = model.init(SHAPE, jax.random.key(3))
    rng = np.random.default_rng(1)
    means = {s: rng.normal(0, 0.1, n) for s, n in nodes.shapes(SHAPE).items()}
    tokens = rng.integers(0, SHAPE.vocab_size, (2, SHAPE.context))
    answers = rng.integers(0, SHAPE.vocab_size, (2, 2))
    place = np.array([SHAPE.context - 1, SHAPE.context - 3])
    asked = Question(
        *(jnp.asarray(x, jnp.int32) for x in (tokens, place, answers)),
        jnp.ones(2),
        jnp.float32(0),
    )
    task = Task(asked, ablations.norm_scales(SHAPE, params, asked))
    settings = Settings(edge_share=0.0)
    deck = lanes.Deck(Plan(SHAPE, pairs, steps), 1, tuple(jax.devices()[:1]))
    which = lanes.stacked([(0, 5, settings)])
    first = mask_search.begin(deck.plan, jax.tree.map(jnp.asarray, which)).tau
    given = (
        params,
        jax.tree.map(jnp.float32, means),
        jax.tree.map(lambda x: x[None], task),
    )
    wanted, _ = lanes.run(deck, *given, which, steps)

    network = Network(Size(**training.size_of(SHAPE)))
    network.load_state_dict(as_state(params))
    shared = {name: getattr(settings, name) for name in pruning.SHARED}
    search = Search(network, joined(means), TheirSettings(**shared))
    pool = Pool(*map(torch.tensor, (tokens, place, answers)))
    found = search.run(pool, pairs, steps, joined({s: x[0] for s, x in first.items()}))
    last = joined({s: x[0] for s, x in wanted.items()})
    torch.testing.assert_close(found, last, rtol=1e-4, atol=1e-5)
    assert (
        float((last - joined({s: x[0] for s, x in first.items()})).abs().max()) > 1e-2
    )


def joined(tree: Any) -> torch.Tensor:
    """[layer, all nodes]: sites in the order of computation."""
    parts = [np.asarray(tree[site], np.float32) for site in nodes.NODE_SITES]
    return torch.tensor(np.concatenate(parts, 1))


def test_both_ways_to_select_keep_the_largest() -> None:
    x = torch.randn(5, 16)
    order = x.abs().argsort(-1, descending=True)
    wanted = x * torch.zeros_like(x).scatter(-1, order[:, :4], 1.0)
    for way in (selection.keep_largest, selection.keep_mask):
        assert torch.equal(way(x, 4), wanted)
