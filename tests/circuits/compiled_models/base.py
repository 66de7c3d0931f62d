"""What the compiled models share: tokens, prompts, heads, and what each of them states.

Prompts are `<eot>`, words with an opening quote and a *topic* among them, and an end
mark. The answer is the closing quote of the same kind. Distractors have an earlier,
closed string of the other kind; only the test pool has them (in half of its pairs), so
that a search on the other two pools cannot learn from answers alone to resist them.

All that is done, attention does, in one layer; so all models share their programs. A
head that *looks up* has a constant query, a key that reads the detector of an opening
quote, and a value that reads its kind. A *bag* has neither query nor key: it averages
over all tokens.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node

EOT, CLOSE_DOUBLE, CLOSE_SINGLE, OPEN_DOUBLE, OPEN_SINGLE = range(5)
PAST_DOUBLE, PAST_SINGLE, LEFT, RIGHT, END = range(5, 10)
WORDS = range(10, 14)
LENGTH = 8
TARGET = 0.15  # nats
CONFIG = ModelConfig(
    vocab_size=14,
    context=LENGTH,
    n_layer=1,
    d_model=16,
    n_head=3,
    d_head=2,
    d_mlp=4,
    afrac=None,
)
# Channels of the residual.
DETECTOR, DETECTOR_2, ONE, KIND, TOPIC, ENDED, BEGUN, WORD = range(8)
ANSWER, ANSWER_2, AGAINST = 13, 14, 15  # AGAINST counts for the other answer
QUERY, KEY, VALUE = 8, 4, 1
UNEMBED = 4  # a write of 1 to ANSWER makes a margin of about 3.8 nats


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model and what a faithful search may return.

    `smallest` are the circuits of which no node can be left out. A circuit is accepted
    if it contains one of them, and otherwise only `parts`: the nodes that do something
    in this model. `fooled` is a wrong circuit that does well by a weaker measure.
    """

    name: str
    weights: dict[str, Any]
    parts: frozenset[Node]
    smallest: tuple[frozenset[Node], ...]
    fooled: frozenset[Node]

    def accepts(self, kept: Iterable[Node]) -> bool:
        found = frozenset(kept)
        return found <= self.parts and any(own <= found for own in self.smallest)


def read(channel: int) -> Node:
    return Node(nodes.ATTN_IN, 0, channel)


def write(channel: int) -> Node:
    return Node(nodes.ATTN_OUT, 0, channel)


def of_head(site: str, head: int, channel: int = 0) -> Node:
    """A query, key or value channel of a head."""
    return Node(site, 0, head * CONFIG.d_head + channel)


def lookup(head: int, target: int) -> frozenset[Node]:
    """The circuit of a head that looks up the opening quote."""
    key, value = of_head(nodes.K, head), of_head(nodes.V, head)
    return frozenset({read(DETECTOR), read(KIND), key, value, write(target)})


def bag(head: int, source: int, target: int) -> frozenset[Node]:
    """The circuit of a head that averages over all tokens."""
    return frozenset({read(source), of_head(nodes.V, head), write(target)})


def weights() -> dict[str, Any]:
    """Embedding and unembedding. All other weights are zero, and gains are one."""
    tree: dict[str, Any] = {}
    for p in parameters.table(CONFIG):
        inner = tree
        for name in p.path[:-1]:
            inner = inner.setdefault(name, {})
        fill = 1.0 if p.kind == "gain" else 0.0
        inner[p.path[-1]] = np.full(parameters.full_shape(CONFIG, p), fill, np.float32)
    embed = tree[parameters.EMBED][parameters.W]
    embed[:, ONE] = 8  # norms hardly depend on the rest
    embed[[OPEN_DOUBLE, OPEN_SINGLE], DETECTOR] = 2
    embed[[OPEN_DOUBLE, OPEN_SINGLE], DETECTOR_2] = 2
    embed[[OPEN_DOUBLE, PAST_DOUBLE], KIND] = 2
    embed[[OPEN_SINGLE, PAST_SINGLE], KIND] = -2
    embed[LEFT, TOPIC], embed[RIGHT, TOPIC] = 2, -2
    embed[END, ENDED] = embed[EOT, BEGUN] = 2
    embed[list(WORDS), range(WORD, WORD + len(WORDS))] = 2
    unembed = tree[parameters.UNEMBED][parameters.W]
    for channel, sign in ((ANSWER, 1), (ANSWER_2, 1), (AGAINST, -1)):
        unembed[channel, CLOSE_DOUBLE] = sign * UNEMBED
        unembed[channel, CLOSE_SINGLE] = -sign * UNEMBED
    return tree


def add_value(
    tree: dict[str, Any], head: int, source: int, target: int, strength: float
) -> None:
    """Let a head write what it finds in one channel of the tokens to another."""
    blocks, place = tree[parameters.BLOCKS], head * CONFIG.d_head
    blocks[parameters.QKV][parameters.W][0, source, 2 * CONFIG.d_attn + place] = VALUE
    blocks[parameters.O][parameters.W][0, place, target] = strength


def add_bag(
    tree: dict[str, Any], head: int, source: int, target: int, strength: float
) -> None:
    """The same, for one token in a prompt: an average is smaller by its length."""
    add_value(tree, head, source, target, LENGTH * strength)


def add_key(tree: dict[str, Any], head: int, source: int, channel: int = 0) -> None:
    """Let a head attend to tokens that have something in a channel."""
    place = head * CONFIG.d_head + channel
    own = tree[parameters.BLOCKS][parameters.QKV]
    own[parameters.B][0, place] = QUERY
    own[parameters.W][0, source, CONFIG.d_attn + place] = KEY


def add_lookup(tree: dict[str, Any], head: int, target: int, strength: float) -> None:
    """A head that looks up the opening quote and writes its kind."""
    add_key(tree, head, DETECTOR)
    add_value(tree, head, KIND, target, strength)


def ask_only_at_end(tree: dict[str, Any], head: int) -> None:
    """Let a head's query read the end mark: it was constant before."""
    own, place = tree[parameters.BLOCKS][parameters.QKV], head * CONFIG.d_head
    own[parameters.B][0, place] = 0
    own[parameters.W][0, ENDED, place] = QUERY


def question(pairs: int, seed: int, split: str = "train") -> Question:
    """A pool of prompts. The two of a pair differ in the kind of quote."""
    rng = np.random.default_rng([seed, len(split)])
    tokens = np.full((2 * pairs, LENGTH), EOT, np.int32)
    for i in range(pairs):
        row = rng.choice(WORDS, LENGTH)
        opens, topic = 3 + rng.integers(2), 5 + rng.integers(2)
        row[0], row[-1], row[topic] = EOT, END, rng.choice([LEFT, RIGHT])
        kinds = ((OPEN_DOUBLE, PAST_SINGLE), (OPEN_SINGLE, PAST_DOUBLE))
        for side, (quote, past) in enumerate(kinds):
            row[opens] = quote
            if split == "test" and i % 2:
                row[1:3] = past
            tokens[2 * i + side] = row
    both = [[CLOSE_DOUBLE, CLOSE_SINGLE], [CLOSE_SINGLE, CLOSE_DOUBLE]]
    arrays = (
        tokens,
        np.full(2 * pairs, LENGTH - 1, np.int32),
        np.tile(both, (pairs, 1)).astype(np.int32),
        np.ones(2 * pairs, np.float32),
    )
    return Question(*map(jnp.asarray, arrays), jnp.float32(0))


def text(rows: int = 64) -> np.ndarray:
    """[1, B, L] tokens over which means are taken: prompts and the same with the other
    topic, one in eight with an end mark, others going on with a word. Kinds of quotes
    and topics are equally frequent: their means are zero."""
    tokens = np.asarray(question(rows // 2, 9, "test").tokens_BL).copy()
    other = np.where(tokens == LEFT, RIGHT, np.where(tokens == RIGHT, LEFT, tokens))
    found = np.concatenate([tokens, other])
    found[np.arange(len(found)) % 8 > 0, -1] = WORDS[0]
    return found[None]


def mask(kept: Iterable[Node]) -> dict[str, np.ndarray]:
    """The mask that keeps these nodes."""
    tree = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(CONFIG).items()}
    for node in kept:
        tree[node.site][node.layer, node.index] = 1
    return tree


Make = Callable[[], Compiled]
