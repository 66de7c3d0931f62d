"""Logits of a batch: the dense program, the sparse path of a run, and a circuit's.

Weights are random, with a 64th of the blocks' matrices and a 16th of the embeddings
left. The circuit has 19 nodes in each layer, chosen along the weights: two queries,
keys and values of a head, three neurons, what these read most, and where they write.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import model, nodes
from sparsetx.bench import training
from sparsetx.bench.timing import USUAL, Asked, Row, changed, race
from sparsetx.circuits.measure import inference
from sparsetx.config import ModelConfig
from sparsetx.model import parameters, sparse_inference

WIDTHS, QUICK = (512, 1024), 128
LAYERS, BATCH, LENGTH = 8, 8, 128
KEPT = {"block": 1 / 64, "embed": 1 / 16}
DENSE, SPARSE, CIRCUIT = "dense", "sparse", "circuit of {} nodes"


def run(asked: Asked = USUAL) -> Iterator[Row]:
    for d_model in (QUICK,) if asked.quick else WIDTHS:
        yield from at_width(d_model, asked)


def at_width(d_model: int, asked: Asked) -> list[Row]:
    config = training.base(d_model, layers=LAYERS).model
    params = weights(config)
    tokens = np.random.default_rng(1).integers(0, config.vocab_size, (BATCH, LENGTH))
    tokens_BL = jnp.asarray(tokens, jnp.int32)
    prepared = sparse_inference.prepare(config, params)
    keep = mask(config, params)
    means = {site: np.full(x.shape, 0.1, np.float32) for site, x in keep.items()}
    folded = inference.fold(config, params, keep, means)
    assert folded is not None
    count = sum(int(x.sum()) for x in keep.values())
    contestants: dict[str, Callable[[], Any]] = {
        DENSE: functools.partial(model.apply, config, params, tokens_BL),
        SPARSE: functools.partial(sparse_inference.logits, prepared, tokens_BL),
        CIRCUIT.format(count): functools.partial(folded.logits, tokens),
        f"{CIRCUIT.format(count)}, one place": functools.partial(
            folded.logits_at, tokens, np.full(BATCH, LENGTH - 1)
        ),
    }
    title = f"logits, {LAYERS} layers of {d_model}, {BATCH} x {LENGTH} tokens"
    turns = asked.turns(7)
    rows = race(title, contestants, turns, BATCH * LENGTH, report=asked.report)
    return [
        changed([row], note=f"{rows[0].seconds / row.seconds:.1f} x as fast")[0]
        for row in rows
    ]


def weights(config: ModelConfig, seed: int = 0) -> dict[str, Any]:
    """Random weights, most of them zero."""
    rng = np.random.default_rng(seed)
    found = {}
    for parameter in parameters.table(config):
        if parameter.sparse not in KEPT:
            continue
        shape, kept = parameters.full_shape(config, parameter), KEPT[parameter.sparse]
        size = 1.0 if parameter.path[0] == parameters.EMBED else shape[-2] * kept
        w = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(size))
        w[rng.random(shape, np.float32) >= kept] = 0
        found[parameter.path] = jnp.asarray(w)
    return parameters.replaced(model.init(config, jax.random.key(seed)), found)


def mask(config: ModelConfig, params: Any, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    keep = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(config).items()}
    blocks = {name: np.asarray(part[parameters.W]) for name, part in _matrices(params)}
    for layer in range(config.n_layer):
        head = rng.integers(config.n_head) * config.d_head
        q, k, v = (head + rng.choice(config.d_head, 2, replace=False) for _ in range(3))
        wide = config.d_attn
        inputs_R = blocks[parameters.QKV][layer][:, [*q, *(wide + k), *(2 * wide + v)]]
        neurons = rng.choice(config.d_mlp, 3, replace=False)
        for site, chosen in {
            nodes.ATTN_IN: _largest(inputs_R, 4),
            nodes.Q: q,
            nodes.K: k,
            nodes.V: v,
            nodes.ATTN_OUT: _largest(blocks[parameters.O][layer][v].T, 2),
            nodes.MLP_IN: _largest(blocks[parameters.FC][layer][:, neurons], 2),
            nodes.MLP_NEURON: neurons,
            nodes.MLP_OUT: _largest(blocks[parameters.PROJ][layer][neurons].T, 2),
        }.items():
            keep[site][layer, chosen] = 1
    return keep


def _matrices(params: Any) -> list[tuple[str, Any]]:
    blocks = params[parameters.BLOCKS]
    return [(name, part) for name, part in blocks.items() if parameters.W in part]


def _largest(w: Any, count: int) -> Any:
    """Rows with the largest sums of magnitudes."""
    return np.argsort(-np.abs(w).sum(1), kind="stable")[:count]
