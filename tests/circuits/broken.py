"""Variants of the compiled model, each with a circuit that only seems to be good.

norm crutch      the circuit works only with the norms of the ablated model
cancelling pair  two heads outside the circuit cancel each other: it works only if both
                 or none are ablated
sink crutch      a head without a value acts by how much it attends, where the whole
                 model uses the value
sink head        the same, but the whole model does it too: only controls that ask for
                 uncounted values find it
permuted         the same zeros, with permuted values
twin head        a good circuit, but another head does the same: to be reported
"""

import dataclasses
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node
from tests.circuits import compiled

WIDE, HEAD = compiled.CONFIG.d_attn, compiled.CONFIG.d_head
SINK_CONFIG = dataclasses.replace(compiled.CONFIG, sink=True)
SINK_CIRCUIT = {
    node
    for node in compiled.CIRCUIT | {Node(nodes.Q, 1, 0)}
    if (node.site, node.layer, node.index)
    not in {(nodes.V, 1, 0), (nodes.MLP_OUT, 0, 3), (nodes.ATTN_IN, 1, 3)}
}
OWN_OF_HEAD = {
    Node(nodes.K, 1, 0),
    Node(nodes.V, 1, 0),
    Node(nodes.ATTN_OUT, 1, 5),
}
OWN_OF_TWIN = {
    Node(nodes.K, 1, HEAD),
    Node(nodes.V, 1, HEAD),
    Node(nodes.ATTN_OUT, 1, 15),
}


def _copy_head(blocks: dict[str, Any], head: int, channel: int, weight: float) -> None:
    """Make another head of layer 1 read what head 0 reads, and write to `channel`."""
    qkv, first = blocks[parameters.QKV][parameters.W], head * HEAD
    blocks[parameters.QKV][parameters.B][1, first] = 8
    qkv[1, 3, WIDE + first] = 4
    qkv[1, 4, 2 * WIDE + first] = 1
    blocks[parameters.O][parameters.W][1, first, channel] = weight


def norm_crutch() -> dict[str, Any]:
    """Words write ±60 to a channel that nothing reads, which makes norms shrink what
    else is written. The whole model has a strong second head; the circuit's own head is
    enough only with the norms of the ablated model."""
    tree = compiled.params()
    blocks = tree[parameters.BLOCKS]
    _copy_head(blocks, 1, 5, 14)
    fc, bias = blocks[parameters.FC][parameters.W], blocks[parameters.FC][parameters.B]
    proj = blocks[parameters.PROJ][parameters.W]
    for channel in range(6, 15):
        fc[1, channel, 2 + channel % 2] = 8
    bias[1, 2:4] = -2
    proj[1, 2, 15], proj[1, 3, 15] = 30, -30
    return tree


def cancelling_pair() -> dict[str, Any]:
    """Heads 1 and 2 write what head 0 does, ten times as much, with opposite signs."""
    tree = compiled.params()
    _copy_head(tree[parameters.BLOCKS], 1, 5, 20)
    _copy_head(tree[parameters.BLOCKS], 2, 5, -20)
    return tree


def sink_crutch() -> dict[str, Any]:
    """The head attends to either quote, whose value is the type. The key also reads the
    type: without the detector, that is enough to attend to a double quote, while with a
    single one all attention goes to the sink. So the circuit answers by the values'
    constants, offset by the mean of what quotes write to the answer's channel."""
    tree = compiled.params()
    blocks = tree[parameters.BLOCKS]
    qkv, bias = (
        blocks[parameters.QKV][parameters.W],
        blocks[parameters.QKV][parameters.B],
    )
    qkv[1, 3, WIDE], qkv[1, 4, WIDE], qkv[1, 4, 2 * WIDE] = 16, 4, 2
    bias[1, 2 * WIDE : 2 * WIDE + HEAD] = 1
    blocks[parameters.O][parameters.W][1, :HEAD, 5] = 1
    blocks[parameters.O][parameters.B][1, 5] = -HEAD
    blocks[parameters.FC][parameters.W][1, 3, 2] = 8
    blocks[parameters.FC][parameters.B][1, 2] = -4
    blocks[parameters.PROJ][parameters.W][1, 2, 5] = 6
    _sink(blocks, 16)
    return tree


def sink_head() -> dict[str, Any]:
    """Values are constant; the key reads the type, so that the head attends to a double
    quote, and otherwise to its sink. It writes how much it attended."""
    tree = compiled.params()
    blocks = tree[parameters.BLOCKS]
    qkv, bias = (
        blocks[parameters.QKV][parameters.W],
        blocks[parameters.QKV][parameters.B],
    )
    qkv[1] = 0
    qkv[1, 4, WIDE] = 4
    bias[1, 2 * WIDE : 2 * WIDE + HEAD] = 1
    blocks[parameters.O][parameters.W][1, :HEAD, 5] = 1
    blocks[parameters.O][parameters.B][1, 5] = -2
    _sink(blocks, 6)
    return tree


def _sink(blocks: dict[str, Any], strength: float) -> None:
    """Add a sink to head 0 of layer 1."""
    logit = np.zeros((SINK_CONFIG.n_layer, SINK_CONFIG.n_head), np.float32)
    logit[1, 0] = strength
    blocks[parameters.SINK] = {parameters.LOGIT: logit}


def permuted(seed: int, config: ModelConfig = compiled.CONFIG) -> dict[str, Any]:
    """Permute the nonzero weights of all matrices together."""
    tree = compiled.params()
    whole = dict(parameters.leaves(tree))
    paths = [p.path for p in parameters.table(config) if p.kind == "matrix"]
    alive = np.concatenate([whole[path][whole[path] != 0] for path in paths])
    values = np.random.default_rng(seed).permutation(alive)
    for path in paths:
        where = whole[path] != 0
        whole[path][where], values = np.split(values, [where.sum()])
    return tree


def twin_head() -> dict[str, Any]:
    """Head 1 does what head 0 does, and writes to channel 15, with the same unembedding
    weights."""
    tree = compiled.params()
    _copy_head(tree[parameters.BLOCKS], 1, 15, 2)
    tree[parameters.UNEMBED][parameters.W][15] = tree[parameters.UNEMBED][parameters.W][
        5
    ]
    return tree
