"""The channels that a kept node competes with in AbsTopK, where no rule describes it.

Those are the channels of its site that AbsTopK keeps at some positions and not at
others, as weighted sums of the variables of a program. Their weights are no edges of
the circuit, but without them it is not known what AbsTopK keeps. The program has them
in a table before the statements.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.program import python_text
from sparsetx.circuits.program.constant_folding import Array, Folded
from sparsetx.circuits.program.topk_rules import Contest
from sparsetx.model import parameters
from sparsetx.nodes import Node

Rows = dict[str, dict[int, float]]
Part = tuple[str, str, Array]  # key, expression or "" if it is constant, weights
ALWAYS = "always"  # the row of constants


@dataclass(frozen=True)
class Rivals:
    """The competing channels of one site. `given`: the expression that each row of
    weights multiplies."""

    contest: Contest
    rows: Rows
    given: dict[str, str]


def of(
    folded: Folded, node: Node, silent: set[Node], variable: Callable[[Node], str]
) -> Rivals:
    """The competing channels of a kept node's site. `variable`: names an input node."""
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
    """Inputs of a site whose channels are weighted sums of the site before."""
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
                name = f"{nodes.KINDS[other.site]}_{source}"
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
    """Inputs of attention's writes: kept values times the attention pattern; ablated
    values times the attention that does not go to the sink."""
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


def lines(rows: Rows, name: str, digits: python_text.Digits) -> list[str]:
    """The table as lines of source."""
    found = [f"{name} = {{"]
    for key, row in rows.items():
        said = [f"{c}: {digits.number(w)}" for c, w in row.items()]
        found += python_text.entry(python_text.quoted(key), said)
    return [*found, "}"]
