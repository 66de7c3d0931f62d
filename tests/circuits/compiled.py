"""The compiled model: weights written by hand, whose circuit is known (quotes task).

Layer 0's MLP turns the opening quote's embedding into a *detector* (channel 3) and a
*type* (channel 4); one head of layer 1 attends to the detector with a constant query
and writes the type to channel 5, which the unembedding reads. 11 nodes and 9 edges do
the task; the query is constant, so it may be ablated to its mean.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node

EOT, DOUBLE, SINGLE, CLOSE_DOUBLE, CLOSE_SINGLE = range(5)
WORDS = range(5, 14)
LENGTH = 8
CONFIG = ModelConfig(
    vocab_size=14,
    context=LENGTH,
    n_layer=2,
    d_model=16,
    n_head=4,
    d_head=4,
    d_mlp=16,
    afrac=None,
)
CIRCUIT = {
    Node(nodes.MLP_IN, 0, 0),
    Node(nodes.MLP_IN, 0, 1),
    Node(nodes.MLP_NEURON, 0, 0),
    Node(nodes.MLP_NEURON, 0, 1),
    Node(nodes.MLP_OUT, 0, 3),
    Node(nodes.MLP_OUT, 0, 4),
    Node(nodes.ATTN_IN, 1, 3),
    Node(nodes.ATTN_IN, 1, 4),
    Node(nodes.K, 1, 0),
    Node(nodes.V, 1, 0),
    Node(nodes.ATTN_OUT, 1, 5),
}
EDGES = 9


def params() -> dict[str, Any]:
    """The weights. Those not set here are zero, and gains are one."""
    tree: dict[str, Any] = {}
    for p in parameters.table(CONFIG):
        inner = tree
        for key in p.path[:-1]:
            inner = inner.setdefault(key, {})
        fill = 1.0 if p.kind == "gain" else 0.0
        shape = parameters.full_shape(CONFIG, p)
        inner[p.path[-1]] = np.full(shape, fill, np.float32)
    embed = tree[parameters.EMBED][parameters.W]
    embed[:, 2] = 8
    embed[DOUBLE, 0] = embed[SINGLE, 1] = 2
    for i, word in enumerate(WORDS):
        embed[word, 6 + i] = 2
    blocks = tree[parameters.BLOCKS]
    fc, fc_b = blocks[parameters.FC][parameters.W], blocks[parameters.FC][parameters.B]
    fc[0, 0, 0] = fc[0, 1, 0] = fc[0, 0, 1] = 8
    fc_b[0, :2] = -4
    proj = blocks[parameters.PROJ][parameters.W]
    proj[0, 0, 3], proj[0, 0, 4], proj[0, 1, 4] = 0.5, -0.5, 1
    qkv, wide = blocks[parameters.QKV][parameters.W], CONFIG.d_attn
    blocks[parameters.QKV][parameters.B][1, 0] = 8
    qkv[1, 3, wide] = 4
    qkv[1, 4, 2 * wide] = 1
    blocks[parameters.O][parameters.W][1, 0, 5] = 2
    unembed = tree[parameters.UNEMBED][parameters.W]
    unembed[5, CLOSE_DOUBLE], unembed[5, CLOSE_SINGLE] = 4, -4
    return tree


def question(pairs: int = 64, seed: int = 0) -> Question:
    """Prompts: `<eot>` words, an opening quote, words. Answer: the closing quote."""
    rng = np.random.default_rng(seed)
    tokens = np.full((2 * pairs, LENGTH), EOT, np.int32)
    position = np.empty(2 * pairs, np.int32)
    for i in range(pairs):
        length = rng.integers(4, LENGTH + 1)
        opens = rng.integers(1, length - 1)
        row = rng.choice(WORDS, length)
        row[0] = EOT
        for side, quote in enumerate((DOUBLE, SINGLE)):
            row[opens] = quote
            tokens[2 * i + side, :length] = row
            position[2 * i + side] = length - 1
    answers = np.tile(
        [[CLOSE_DOUBLE, CLOSE_SINGLE], [CLOSE_SINGLE, CLOSE_DOUBLE]], (pairs, 1)
    )
    ones = np.ones(2 * pairs, np.float32)
    arrays = map(jnp.asarray, (tokens, position, answers.astype(np.int32), ones))
    return Question(*arrays, jnp.float32(0))


def mask(kept: set[Node] = CIRCUIT) -> dict[str, Any]:
    """The mask that keeps these nodes."""
    tree = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(CONFIG).items()}
    for node in kept:
        tree[node.site][node.layer, node.index] = 1
    return {site: jnp.asarray(x) for site, x in tree.items()}


def corpus(batches: int = 8) -> jnp.ndarray:
    """Batches [N, B, L] of the same kind of prompts, over which means are taken."""
    tokens = question(16 * batches, seed=9).tokens_BL
    return tokens.reshape(batches, -1, LENGTH)


def subsets() -> dict[str, np.ndarray]:
    """All 2048 subsets of the eleven nodes as masks; the last is the whole circuit."""
    order = sorted(CIRCUIT)
    bits = np.arange(2 ** len(order))[:, None] >> np.arange(len(order)) & 1
    tree = {
        site: np.zeros((len(bits), *shape), np.float32)
        for site, shape in nodes.shapes(CONFIG).items()
    }
    for place, node in enumerate(order):
        tree[node.site][:, node.layer, node.index] = bits[:, place]
    return tree
