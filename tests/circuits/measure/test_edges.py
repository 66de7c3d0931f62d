"""Sizes of circuits, compared with counting edges one by one in loops."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.circuits.measure import edges
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from tests.small import SMALL, params_of

COUNTS = ("nodes", "edges", "constants", "pairs")
SITES_OF_CONSTANTS = ("q", "k", "v", "attn_out", "mlp_neuron", "mlp_out")


def fractions(few: float = 0.0) -> st.SearchStrategy[float]:
    return st.sampled_from([few, 0.1, 0.4, 0.9, 1.0])


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    """Small networks of every shape, with sinks and positions or without."""
    small = st.integers(1, 3)
    wide = draw(st.sampled_from([0, 2]))
    return ModelConfig(
        vocab_size=5,
        context=4,
        n_layer=draw(small),
        d_model=draw(small) * 2,
        n_head=draw(small),
        d_head=draw(small),
        d_mlp=draw(st.integers(1, 7)),
        sink=draw(st.booleans()),
        positions="concatenated" if wide else "none",
        d_pos=wide,
    )


def thin(config: ModelConfig, rng: np.random.Generator, share: float) -> dict[str, Any]:
    """Parameters of which this fraction is not zero."""
    tree: dict[str, Any] = {}
    for p in parameters.table(config):
        inner = tree
        for key in p.path[:-1]:
            inner = inner.setdefault(key, {})
        shape = parameters.full_shape(config, p)
        w = np.where(rng.random(shape) < share, rng.normal(size=shape), 0)
        inner[p.path[-1]] = w.astype(np.float32)
    return tree


def drawn(config: ModelConfig, rng: np.random.Generator, share: float) -> dict:
    return {
        site: (rng.random(shape) < share).astype(np.float32)
        for site, shape in nodes.shapes(config).items()
    }


def in_numpy(config: ModelConfig, params: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in edges.patterns(config, params).items()}


def one_by_one(config: ModelConfig, params: dict, keep: dict) -> dict[str, int]:
    """The same counts by plain loops over weights, sharing no code with edges.py."""
    w = {p: np.asarray(x) for p, x in parameters.leaves(params)}
    n, d = config.d_attn, config.d_head
    count, pairs, fed = 0, 0, set()
    kinds = [
        (("blocks", "qkv", "w"), 0, "attn_in", "q"),
        (("blocks", "qkv", "w"), n, "attn_in", "k"),
        (("blocks", "qkv", "w"), 2 * n, "attn_in", "v"),
        (("blocks", "o", "w"), 0, "v", "attn_out"),
        (("blocks", "fc", "w"), 0, "mlp_in", "mlp_neuron"),
        (("blocks", "proj", "w"), 0, "mlp_neuron", "mlp_out"),
    ]
    for layer in range(config.n_layer):
        for path, start, source, target in kinds:
            sources = np.flatnonzero(keep[source][layer])
            targets = np.flatnonzero(keep[target][layer])
            pairs += len(sources) * len(targets)
            for i, j in itertools.product(sources, targets):
                if w[path][layer][i, start + j] != 0:
                    count += 1
                    fed.add((target, layer, j))
        for head in range(config.n_head if config.sink else 0):
            own = slice(head * d, (head + 1) * d)
            asks = keep["q"][layer][own].any() or keep["k"][layer][own].any()
            if not asks or keep["v"][layer][own].any():
                continue
            for i in range(head * d, (head + 1) * d):
                for j in np.flatnonzero(keep["attn_out"][layer]):
                    if w["blocks", "o", "w"][layer][i, j] != 0:
                        count += 1
                        fed.add(("attn_out", layer, j))
    constants = sum(
        (site, layer, j) not in fed
        for site in SITES_OF_CONSTANTS
        for layer in range(config.n_layer)
        for j in np.flatnonzero(keep[site][layer])
    )
    total = sum(int(x.sum()) for x in keep.values())
    return {"nodes": total, "edges": count, "constants": constants, "pairs": pairs}


@examples(max_examples=150)
@given(models(), st.integers(0, 2**16), fractions(0.02), fractions())
def test_every_count_is_that_of_the_loops(
    config: ModelConfig, seed: int, density: float, kept: float
) -> None:
    rng = np.random.default_rng(seed)
    params, keep = thin(config, rng, density), drawn(config, rng, kept)
    wanted = one_by_one(config, params, keep)
    size = edges.size(config, in_numpy(config, params), keep)
    assert {name: getattr(size, name) for name in COUNTS} == wanted
    assert size.edges_plus == wanted["edges"] + wanted["constants"]
    listed = edges.listed(config, params, keep)
    assert len(listed) == len(set(listed)) == wanted["edges"]


@examples(max_examples=60)
@given(models(), st.integers(0, 2**16), fractions(0.02), fractions())
def test_each_listed_edge_is_a_weight_of_the_model(
    config: ModelConfig, seed: int, density: float, kept: float
) -> None:
    rng = np.random.default_rng(seed)
    params, keep = thin(config, rng, density), drawn(config, rng, kept)
    whole = dict(parameters.leaves(params))
    for path, place, edge in edges.located(config, params, keep):
        assert whole[path][place] == np.float32(edge.weight) != 0
        assert keep[edge.dst.site][edge.dst.layer, edge.dst.index] == 1
        from_sink = config.sink and edge.src.site == "v"
        assert from_sink or keep[edge.src.site][edge.src.layer, edge.src.index] == 1
        assert edge.src.layer == edge.dst.layer
    layers = [edge.dst.layer for edge in edges.listed(config, params, keep)]
    assert layers == sorted(layers)


@examples(max_examples=60)
@given(models(), st.integers(0, 2**16), fractions(0.02), fractions())
def test_the_boundary_counts_embedding_and_unembedding_weights(
    config: ModelConfig, seed: int, density: float, kept: float
) -> None:
    rng = np.random.default_rng(seed)
    params, keep = thin(config, rng, density), drawn(config, rng, kept)
    tokens, answers = rng.integers(0, 5, (3, 4)), rng.integers(0, 5, (3, 2))
    count = 0
    for channel in range(config.d_model):
        read = keep["attn_in"][:, channel].any() or keep["mlp_in"][:, channel].any()
        written = (
            keep["attn_out"][:, channel].any() or keep["mlp_out"][:, channel].any()
        )
        for token in range(config.vocab_size):
            into = params["embed"]["w"][token, channel] != 0
            out = params["unembed"]["w"][channel, token] != 0
            count += bool(read and into and token in tokens)
            count += bool(written and out and token in answers)
    assert edges.boundary(params, keep, tokens, answers) == count


def test_numpy_and_jax_count_many_masks_like_each_alone() -> None:
    rng = np.random.default_rng(1)
    params = thin(SMALL, rng, 0.2)
    pattern, traced = in_numpy(SMALL, params), edges.patterns(SMALL, params)
    masks = [drawn(SMALL, rng, share) for share in (0.0, 0.02, 0.1, 0.1, 0.5, 1.0)]
    stacked = {site: np.stack([m[site] for m in masks]) for site in masks[0]}
    alone = [edges.size(SMALL, pattern, keep) for keep in masks]
    ours = {site: jnp.asarray(x) for site, x in stacked.items()}
    one = functools.partial(edges.size, SMALL, traced)
    for many in (
        edges.size(SMALL, pattern, stacked),
        jax.jit(jax.vmap(one))(ours),
        one({site: x.reshape(2, 3, *x.shape[1:]) for site, x in ours.items()}),
    ):
        for name in COUNTS:
            found = np.asarray(getattr(many, name))
            assert np.issubdtype(found.dtype, np.integer)
            assert found.ravel().tolist() == [int(getattr(s, name)) for s in alone]
    tokens, answers = rng.integers(0, 37, (4, 9)), rng.integers(0, 37, (4, 2))
    apart = [edges.boundary(params, keep, tokens, answers) for keep in masks]
    for tree in (stacked, ours):
        assert edges.boundary(params, tree, tokens, answers).tolist() == apart


def test_a_dense_model_counts_every_weight() -> None:
    keep = drawn(SMALL, np.random.default_rng(0), 1.0)
    params = params_of(SMALL)
    size = edges.size(SMALL, in_numpy(SMALL, params), keep)
    all_of_them = sum(w.size for w in edges.matrices(SMALL, params).values())
    assert (size.edges, size.pairs, size.constants) == (all_of_them, all_of_them, 0)


def test_counts_above_the_exact_integers_of_float32_are_exact() -> None:
    """5000 x 4000 weights: 20 million, of which float32 would drop the last bits."""
    config = ModelConfig(
        vocab_size=2, context=1, n_layer=1, d_model=1, n_head=1, d_head=1, d_mlp=4099
    )
    keep = drawn(config, np.random.default_rng(0), 1.0)
    keep[nodes.MLP_OUT] = np.ones((1, 4099), np.float32)
    pattern = in_numpy(config, thin(config, np.random.default_rng(0), 1.0))
    pattern["W_proj"] = np.ones((1, 4099, 4099), np.float32)
    size = edges.size(config, pattern, keep)
    assert size.edges == 4099 * 4099 + 4099 + 4
    assert size.pairs == size.edges


def test_the_final_read_has_no_edges() -> None:
    rng = np.random.default_rng(2)
    params, keep = thin(SMALL, rng, 0.3), drawn(SMALL, rng, 0.2)
    pattern = in_numpy(SMALL, params)
    final = (rng.random(SMALL.d_model) < 0.5).astype(np.float32)
    without, with_it = (
        edges.size(SMALL, pattern, tree) for tree in (keep, keep | {"final": final})
    )
    assert with_it.nodes == without.nodes + final.sum()
    assert with_it[1:] == without[1:]
    assert edges.listed(SMALL, params, keep | {"final": final}) == edges.listed(
        SMALL, params, keep
    )


def test_a_mask_that_is_one_up_to_rounding_is_one() -> None:
    rng = np.random.default_rng(3)
    pattern, keep = in_numpy(SMALL, thin(SMALL, rng, 0.3)), drawn(SMALL, rng, 0.2)
    rough = {
        site: x * np.float32(1 - 1e-7) + np.float32(1e-8) for site, x in keep.items()
    }
    assert edges.size(SMALL, pattern, rough) == edges.size(SMALL, pattern, keep)
