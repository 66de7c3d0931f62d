"""What a graph of a circuit is made of; graph.py puts it together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraphNode:
    """`constant`: no kept node feeds it, so that it only acts as a bias that was kept.
    Shares: of its nonzero weights in the whole model, those between kept nodes."""

    name: str  # "site/layer/index", as in circuit.json
    site: str
    layer: int
    index: int
    head: int | None  # of q, k and v
    constant: bool
    bias: float
    mean: float  # what it is when it is ablated
    whole_in: int  # its nonzero weights in the whole model
    whole_out: int
    share_in: float | None  # None where there are none
    share_out: float | None
    effect: float | None  # nats of task loss when it is ablated too
    direct: float | None  # nats of logit, towards the right answer
    swap: float | None  # part of the decision that it carries by itself (swap.py)
    description: str


@dataclass(frozen=True, slots=True)
class GraphEdge:
    src: str
    dst: str
    weight: float  # the gain of a read folded in
    effect: float | None  # nats of task loss when it is ablated


@dataclass(frozen=True, slots=True)
class Coupling:
    """A read finds what a write, earlier, left in its channel."""

    src: str
    dst: str
    channel: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """One channel of a head in which a query meets a key; None is a constant, its
    mean."""

    channel: int
    q: str | None
    k: str | None
    q_mean: float
    k_mean: float


@dataclass(frozen=True, slots=True)
class Head:
    layer: int
    index: int
    sink: float | None  # the logit of its empty slot
    meetings: tuple[Meeting, ...]
    values: tuple[str, ...]
    edges: int  # between kept nodes, into and out of its channels
    whole: int  # nonzero ones in the whole model


@dataclass(frozen=True, slots=True)
class Channel:
    """A residual channel that a kept node writes or reads. Beyond the model's width are
    those that only hold positions."""

    index: int
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    position: float | None  # how much positions differ in it, their standard deviation


@dataclass(frozen=True, slots=True)
class Input:
    """A token of the prompts, and its embedding in the channels that are read."""

    token: int
    count: int  # places at which the prompts have it
    decides: bool  # it stands where the two prompts of a pair differ
    weights: tuple[tuple[int, float], ...]  # (channel, weight)


@dataclass(frozen=True, slots=True)
class Output:
    """A channel that speaks to an answer: unembedding weight, last gain folded in."""

    channel: int
    token: int
    weight: float
