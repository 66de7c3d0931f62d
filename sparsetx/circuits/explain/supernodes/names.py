"""Names of supernodes: where each is and what it does, in measured facts; all differ.

A name is "where: what", such as "head 0.6: reads the quote". Drawings show the second
half alone as a box's title, so the second halves differ, too. To those that would be
equal is added, in parentheses, what tells them apart: the first fact of `FACTS` in
which all of them differ, or else the first two that together do, or else the node that
carries most.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.explain import descriptions
from sparsetx.circuits.explain.descriptions import Description, Look, Token
from sparsetx.circuits.explain.graph_parts import GraphNode

THERE = 0.25  # of a head's attention: with more, it reads where prompts differ
SEVERAL = 3  # heads: more of them are counted, not listed
HEADS = (nodes.Q, nodes.K, nodes.V)
ATTENTION = (nodes.ATTN_IN, *HEADS, nodes.ATTN_OUT)
ENDS = {nodes.EMBED: "embedding", nodes.FINAL: "last reads"}
Box = Sequence[GraphNode]  # in the order of computation
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Names:
    described: Mapping[str, Description]  # by name of node
    looks: Mapping[tuple[int, int], Look]  # by layer and head
    subject: str  # one word for what decides, such as `quote`
    token: Token

    def of(self, boxes: Sequence[Box], between: Matrix) -> list[str]:
        """A name for each box. `between`: the arrow from each to each."""
        parts = [self._parts(box) for box in boxes]
        titles = ["; ".join(what or where for where, what in each) for each in parts]
        told = [
            "; ".join(f"{where}: {what}" if what else where for where, what in each)
            for each in parts
        ]
        facts = _Facts(self, boxes, between)
        for title in sorted(set(titles)):
            alike = [i for i, other in enumerate(titles) if other == title]
            if len(alike) > 1:
                for i, fact in zip(alike, _apart(facts, alike), strict=True):
                    told[i] += f" ({fact})"
        return told

    # --- where, and what --------------------------------------------------------------

    def _parts(self, box: Box) -> list[tuple[str, str]]:
        """Where it is with what it does there: of its heads, and of its neurons; of all
        nodes where it has neither."""
        neurons = [n for n in box if n.site == nodes.MLP_NEURON]
        parts = []
        if _heads(box):
            parts.append(self._of_heads(box))
        if neurons:
            noun = "neuron" if len(neurons) == 1 else "neurons"
            parts.append((f"{_layers(box)} {noun}", self._titles(neurons)))
        if not parts:
            kinds = sorted({nodes.KINDS.get(n.site, n.site) for n in box})
            noun = " and ".join(f"{kind}s" for kind in kinds)
            parts.append((f"{_layers(box)} {noun}", self._titles(box)))
        return parts

    def _of_heads(self, box: Box) -> tuple[str, str]:
        heads = _heads(box)
        reads = [self._reads(self.looks[h]) for h in heads if h in self.looks]
        if not reads:
            return _listed(box), ""
        usual = max(sorted(set(reads)), key=reads.count)
        mostly = "" if len(set(reads)) == 1 else "mostly "
        return _listed(box), f"{mostly}{usual}, at the last token"

    def _reads(self, look: Look) -> str:
        if look.sink > 0.5:
            return f"rests in its sink ({look.sink:.0%})"
        if look.apart * (1 - look.sink) >= THERE:
            return f"reads the {self.subject}"
        return f"reads {descriptions.listed([look.most], self.token)}"

    def _titles(self, box: Box) -> str:
        each = [title_of(self.described.get(n.name)) for n in box]
        order = sorted(set(each), key=lambda title: (-each.count(title), title))
        more = " and others" if len(order) > 2 else ""
        return " and ".join(order[:2]) + more


def title_of(told: Description | None) -> str:
    """A node's title; without one, what explains most of its variance."""
    if told is None:
        return "not described"
    if told.title:
        return told.title
    f = told.statistics
    shares = {
        "varies with the token": f.token_share,
        "varies with the token before": f.previous_share,
        "varies with the position": f.place_share,
    }
    return max(shares, key=lambda what: shares[what])


# --- facts that tell boxes of one title apart -----------------------------------------


@dataclass(frozen=True)
class _Facts:
    """Facts of the box at a place; None where there is none."""

    names: Names
    boxes: Sequence[Box]
    between: Matrix  # the arrow from each to each

    def on_token(self, at: int) -> str | None:
        """Where its nodes are farthest from rest, if tokens explain them."""
        box = self.boxes[at]
        rises: dict[int, float] = {}
        for node in [n for n in box if n.site == nodes.MLP_NEURON] or box:
            told = self.names.described.get(node.name)
            if node.head is not None or told is None:
                return None
            f = told.statistics
            if f.token_share < descriptions.MUCH or f.high <= f.low:
                return None
            for token, (mean, _) in f.by_token.items():
                rise = abs(mean - f.rest) / (f.high - f.low)
                rises[token] = rises.get(token, 0.0) + rise
        # Rounded, so that of equal ones noise does not choose.
        top = max(sorted(rises), key=lambda token: round(rises[token], 6))
        return f"on {descriptions.listed([top], self.names.token)}"

    def layers(self, at: int) -> str | None:
        return _layers(self.boxes[at])

    def sublayer(self, at: int) -> str | None:
        return _sublayer(self.boxes[at])

    def heads(self, at: int) -> str | None:
        return _listed(self.boxes[at]) if _heads(self.boxes[at]) else None

    def writes_to(self, at: int) -> str | None:
        return self._strongest(self.between[at], "to")

    def reads_from(self, at: int) -> str | None:
        return self._strongest(self.between[:, at], "from")

    def _strongest(self, arrows: Matrix, word: str) -> str | None:
        """The other end of the largest of these arrows."""
        best = int(np.round(arrows, 9).argmax())
        if arrows[best] <= 0:
            return None
        other = self.boxes[best]
        return f"{word} {_listed(other) if _heads(other) else _sublayer(other)}"


# In the order in which they are tried.
FACTS: tuple[Callable[[_Facts, int], str | None], ...] = (
    _Facts.on_token, _Facts.layers, _Facts.sublayer, _Facts.heads, _Facts.writes_to,
    _Facts.reads_from,
)  # fmt: skip


def _apart(facts: _Facts, alike: Sequence[int]) -> list[str]:
    """For each of these boxes, what none of the others has: of all facts, the first
    that does; else two of them; else the node that carries most."""
    every = ([fact(facts, at) for at in alike] for fact in FACTS)
    known = [[str(text) for text in told] for told in every if all(told)]
    for many in (1, 2):
        for chosen in itertools.combinations(known, many):
            joined = [", ".join(each) for each in zip(*chosen, strict=True)]
            if len(set(joined)) == len(joined):
                return joined
    return [_main(facts.boxes[at]) for at in alike]


def _main(box: Box) -> str:
    best = max(box, key=lambda node: round(node.interchange or 0.0, 6))
    return f"{_sublayer([best])} {nodes.KINDS.get(best.site, best.site)} {best.index}"


# --- places ---------------------------------------------------------------------------


def _heads(box: Box) -> list[tuple[int, int]]:
    return sorted({(n.layer, n.head) for n in box if n.head is not None})


def _listed(box: Box) -> str:
    each = [f"{layer}.{head}" for layer, head in _heads(box)]
    if len(each) > SEVERAL:
        return f"{len(each)} heads of {_layers(box)}"
    return f"head {each[0]}" if len(each) == 1 else f"heads {', '.join(each)}"


def _layers(box: Box) -> str:
    layers = sorted({n.layer for n in box})
    if len(layers) > 1:
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layer {layers[0]}"


def _sublayer(box: Box) -> str:
    """Its layers; with the sublayer, where it is in one."""
    sites = {n.site for n in box}
    if len(sites) == 1 and (end := ENDS.get(box[0].site)):
        return end
    inside = {site in ATTENTION for site in sites}
    if len(inside) > 1:
        return _layers(box)
    return f"{_layers(box)} {'attention' if True in inside else 'MLP'}"
