"""What a kept node competes with, where AbsTopK must be written out.

The channels of a site that are chosen at some places and not at others, as weighted
sums of the variables of a program: weights that are no edges of the circuit, but
without which nobody could say what is kept. They stand in a table beside the
statements.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sparsetx import nodes, parameters
from sparsetx.circuits import prose
from sparsetx.circuits.choices import Contest
from sparsetx.circuits.fold import Array, Folded
from sparsetx.nodes import Node

Rows = dict[str, dict[int, float]]
Part = tuple[str, str, Array]  # what, its expression or "" if constant, its weights
ALWAYS = "always"  # the row of what is constant


@dataclass(frozen=True)
class Rivals:
    """Of one site. `given`: the expression that each row of weights belongs to."""

    contest: Contest
    rows: Rows
    given: dict[str, str]


def of(
    folded: Folded, node: Node, silent: set[Node], variable: Callable[[Node], str]
) -> Rivals:
    """Those of a kept node's site. `variable`: of a kept node before it."""
    contest = folded.contest(node)
    channels = list(contest.channels)
    own = folded.own
    constant_C = np.array([own.bias(Node(node.site, node.layer, c)) for c in channels])
    rows: Rows = {ALWAYS: {}}
    given: dict[str, str] = {}
    heads = node.site == nodes.ATTN_OUT
    parts = _of_heads if heads else _of_nodes
    for key, value, weight_C in parts(folded, node, channels, silent, variable):
        if not value:
            constant_C = constant_C + weight_C
        elif weight_C.any():
            given[key] = value
            pairs = zip(channels, weight_C.tolist(), strict=True)
            rows[key] = {channel: weight for channel, weight in pairs if weight}
    rows[ALWAYS] = dict(zip(channels, constant_C.tolist(), strict=True))
    return Rivals(contest, rows, given)


def _of_nodes(
    folded: Folded,
    node: Node,
    channels: list[int],
    silent: set[Node],
    variable: Callable[[Node], str],
) -> Iterator[Part]:
    """Into a site whose channels are weighted sums of the site before."""
    own, names = folded.own, {p.name: p for p in parameters.edges(folded.config)}
    for part, w in own.parts(node.layer):
        if names[part.name].target != node.site:
            continue
        for source in np.flatnonzero(w[:, channels].any(1)).tolist():
            other = Node(part.source, node.layer, source)
            weight_C = w[source, channels].astype(np.float64)
            if other in silent:
                continue
            if own.keep[part.source][node.layer, source]:
                name = f"{prose.KINDS[other.site]}_{source}"
                yield name, variable(other), weight_C * own.gain(other)
            else:
                yield "", "", weight_C * own.mean(other)


def _of_heads(
    folded: Folded,
    node: Node,
    channels: list[int],
    silent: set[Node],
    variable: Callable[[Node], str],
) -> Iterator[Part]:
    """Into what attention writes: kept values as heads look at them; others by how much
    a head looks at all."""
    own, c = folded.own, folded.config
    w = folded.out(node.layer).astype(np.float64)
    for head in range(c.n_head):
        looks = f"looks_{node.layer}_{head}"
        rest_C = np.zeros(len(channels))
        for i in range(head * c.d_head, (head + 1) * c.d_head):
            value = Node(nodes.V, node.layer, i)
            if value in silent:
                continue
            if own.keep[nodes.V][node.layer, i]:
                yield f"value_{i}", f"{looks} @ {variable(value)}", w[i, channels]
            else:
                rest_C += w[i, channels] * own.mean(value)
        yield f"head_{head}", f"{looks}.sum(-1)" if c.sink else "", rest_C


def lines(rows: Rows, name: str, digits: prose.Digits) -> list[str]:
    """The table, as lines of a program."""
    found = [f"{name} = {{"]
    for key, row in rows.items():
        said = [f"{c}: {digits.number(w)}" for c, w in row.items()]
        found += prose.entry(prose.quoted(key), said)
    return [*found, "}"]
