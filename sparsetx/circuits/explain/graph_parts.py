"""The records that a circuit's graph consists of: nodes, edges, heads, channels."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraphNode:
    """`constant`: none of its inputs is kept, so that it acts as a bias. `share_in`,
    `share_out`: the fraction of its nonzero weights that are edges of the circuit."""

    name: str  # "site/layer/index", as in circuit.json
    site: str
    layer: int
    index: int
    head: int | None  # of q, k and v
    constant: bool
    bias: float
    mean: float  # its value when it is ablated
    whole_in: int  # its nonzero weights in the whole model
    whole_out: int
    share_in: float | None  # None where there are none
    share_out: float | None
    cost: float | None  # its ablation cost, in nats
    direct: float | None  # nats of logit that it adds towards the right answer
    interchange: float | None  # its interchange effect
    description: str


@dataclass(frozen=True, slots=True)
class GraphEdge:
    src: str
    dst: str
    weight: float  # the gain of a read folded in
    cost: float | None  # its ablation cost, in nats


@dataclass(frozen=True, slots=True)
class Coupling:
    """A write and a later read of the same residual channel."""

    src: str
    dst: str
    channel: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """One channel of a head in which a query is multiplied by a key. None: that side is
    not kept and stays at its mean."""

    channel: int
    q: str | None
    k: str | None
    q_mean: float
    k_mean: float


@dataclass(frozen=True, slots=True)
class Head:
    layer: int
    index: int
    sink: float | None  # logit of its attention sink
    meetings: tuple[Meeting, ...]
    values: tuple[str, ...]
    edges: int  # between kept nodes, into and out of its channels
    whole: int  # nonzero weights there in the whole model


@dataclass(frozen=True, slots=True)
class Channel:
    """A residual channel that a kept node writes or reads. Indices beyond the model's
    width are channels that only hold positions."""

    index: int
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    position: float | None  # standard deviation of position embeddings in it


@dataclass(frozen=True, slots=True)
class Input:
    """A token of the prompts, and its embedding in channels that kept nodes read."""

    token: int
    count: int  # how often it occurs in the prompts
    decides: bool  # it occurs where the two prompts of a pair differ
    weights: tuple[tuple[int, float], ...]  # (channel, weight)


@dataclass(frozen=True, slots=True)
class Output:
    """An unembedding weight from a channel to an answer, the last gain folded in."""

    channel: int
    token: int
    weight: float
