"""Counts of circuits, against counting one by one."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes, parameters
from sparsetx.circuits import edges
from sparsetx.config import ModelConfig
from tests.small import SMALL, params_of, random_nodes


def sparse_params(config: ModelConfig, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    params = params_of(config)
    thin = {
        p.path: np.where(
            rng.random(parameters.full_shape(config, p)) < 0.3,
            np.asarray(dict(parameters.leaves(params))[p.path]),
            0,
        ).astype(np.float32)
        for p in parameters.table(config)
        if p.kind == "matrix"
    }
    return parameters.replaced(params, thin)


def one_by_one(config: ModelConfig, params: dict, keep: dict) -> dict[str, int]:
    """The rules read out loud: loops over weights, nothing shared with the source."""
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
        for site in ("q", "k", "v", "attn_out", "mlp_neuron", "mlp_out")
        for layer in range(config.n_layer)
        for j in np.flatnonzero(keep[site][layer])
    )
    total = sum(int(x.sum()) for x in keep.values())
    return {"nodes": total, "edges": count, "constants": constants, "pairs": pairs}


def few(seed: int, share: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        site: (rng.random(np.shape(x)) < share).astype(np.float32)
        for site, x in random_nodes(SMALL, 0).items()
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_every_count_is_that_of_the_loops(seed: int, share: float) -> None:
    params, keep = sparse_params(SMALL, seed), few(seed, share)
    wanted = one_by_one(SMALL, params, keep)
    pattern = {name: np.asarray(x) for name, x in edges.patterns(SMALL, params).items()}
    size = edges.size(SMALL, pattern, keep)
    assert {name: getattr(size, name) for name in wanted} == wanted
    assert size.edges_plus == wanted["edges"] + wanted["constants"]
    listed = edges.listed(SMALL, params, keep)
    assert len(listed) == len(set(listed)) == wanted["edges"]
    assert all(edge.weight != 0 for edge in listed)


def test_numpy_and_jax_count_alike() -> None:
    params, keep = sparse_params(SMALL, 1), few(1, 0.3)
    pattern = edges.patterns(SMALL, params)
    in_numpy = edges.size(SMALL, {n: np.asarray(x) for n, x in pattern.items()}, keep)
    ours = {site: jnp.asarray(x) for site, x in keep.items()}
    in_jax = edges.size(SMALL, {n: jnp.asarray(x) for n, x in pattern.items()}, ours)
    assert tuple(map(float, in_numpy)) == tuple(map(float, in_jax))


def test_a_dense_model_counts_every_weight() -> None:
    keep = {site: np.ones_like(x) for site, x in few(0, 0.5).items()}
    params = params_of(SMALL)
    pattern = {name: np.asarray(x) for name, x in edges.patterns(SMALL, params).items()}
    size = edges.size(SMALL, pattern, keep)
    all_of_them = sum(w.size for w in edges.matrices(SMALL, params).values())
    assert (size.edges, size.pairs, size.constants) == (all_of_them, all_of_them, 0)


def test_the_boundary_is_what_meets_text() -> None:
    params = params_of(SMALL)
    embed = np.zeros((SMALL.vocab_size, SMALL.d_model), np.float32)
    unembed = np.zeros((SMALL.d_model, SMALL.vocab_size), np.float32)
    embed[3, 0] = embed[3, 1] = embed[4, 1] = embed[5, 1] = 1
    unembed[7, 10] = unembed[7, 11] = unembed[8, 10] = 1
    params = parameters.replaced(
        params, {("embed", "w"): embed, ("unembed", "w"): unembed}
    )
    keep = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(SMALL).items()}
    keep[nodes.ATTN_IN][2, 1] = 1  # reads channel 1: tokens 3 and 4, not 5
    keep[nodes.MLP_OUT][0, 7] = 1  # writes channel 7: answers 10 and 11
    tokens, answers = np.array([[3, 4, 3]]), np.array([[10, 11]])
    assert edges.boundary(params, keep, tokens, answers) == 2 + 2
