"""How a circuit decides, in a few sentences, each with the nodes that it speaks of.

Told in the order of computation: in what prompts differ, what heads look for and bring
back, what neurons make of it, and where the answers are read. A sentence is made of
figures that were measured (effects.py, drive.py) and says nothing that they do not.
Only what matters is told: parts whose loss costs a quarter of what the dearest part of
their kind costs, and of these a few. What makes the circuit guess costs as much as
anything can.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sparsetx import nodes
from sparsetx.circuits import describe, edges
from sparsetx.circuits.describe import Description, Look, Token
from sparsetx.circuits.drive import Sample
from sparsetx.circuits.graph import Graph
from sparsetx.circuits.parts import GraphNode, Head

MUCH, MOST = 0.25, 3  # of the dearest of its kind; of a kind
THERE = 0.5  # of a head's attention: with more, it looks where prompts differ
PART = {nodes.ATTN_OUT: "the attention", nodes.MLP_OUT: "the MLP"}
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    text: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Teller:
    """What is known of a circuit; a node is told about by its name."""

    graph: Graph
    told: Mapping[str, Description]
    looks: Mapping[tuple[int, int], Look]
    sample: Sample
    token: Token

    def steps(self) -> list[Step]:
        """None where it was not measured what nodes are worth."""
        if self.graph.loss is None:
            return []
        layers = sorted({node.layer for node in self.graph.nodes})
        heads, neurons = self._heads(), self._neurons()
        found = [self._differ()]
        for layer in layers:
            found += self._looking([h for h in heads if h.layer == layer])
            found += map(self._making, (n for n in neurons if n.layer == layer))
        return [*found, *self._answering()]

    def _differ(self) -> Step:
        one, other = (
            describe.listed(side, self.token) for side in describe.sides(self.sample)
        )
        places = self.sample.apart_BL.sum(1)
        what = "one token" if (places == 1).all() else "some tokens"
        return Step(
            f"The two prompts of a pair differ in {what}: {one} in A, {other} in B.", ()
        )

    # --- What is worth telling ------------------------------------------------------

    def _heads(self) -> list[Head]:
        return _dearest({head: self._worth(head) for head in self.graph.heads})

    def _neurons(self) -> list[GraphNode]:
        own = (n for n in self.graph.nodes if n.site == nodes.MLP_NEURON)
        return _dearest({node: _cost(node) for node in own})

    def _of(self, head: Head) -> list[GraphNode]:
        return [
            node
            for node in self.graph.nodes
            if (node.layer, node.head) == (head.layer, head.index)
        ]

    def _worth(self, head: Head) -> float:
        return max(map(_cost, self._of(head)), default=0.0)

    # --- Heads ----------------------------------------------------------------------

    def _looking(self, heads: Sequence[Head]) -> Iterator[Step]:
        """Heads of a layer that do alike are told together."""
        alike: dict[tuple[bool, str], list[Head]] = {}
        for head in heads:
            there = self.looks[head.layer, head.index].apart >= THERE
            alike.setdefault((there, self._brings(head)), []).append(head)
        for (there, brings), group in alike.items():
            yield self._look(group, there, brings)

    def _brings(self, head: Head) -> str:
        return self._mostly(head.values)

    def _mostly(self, names: Iterable[str]) -> str:
        """What most of these nodes are, in a word or two."""
        titles = [title for name in names if (title := self.told[name].title)]
        return max(titles, key=titles.count, default="")

    def _look(self, heads: Sequence[Head], there: bool, brings: str) -> Step:
        own = [self.looks[head.layer, head.index] for head in heads]
        several = len(heads) > 1
        names, layer = _and(head.index for head in heads), heads[0].layer
        text = f"{'Heads' if several else 'Head'} {names} of layer {layer} "
        text += f"{'look' if several else 'looks'} back from the last token"
        if there:
            shares = _and(f"{look.apart:.0%}" for look in own)
            text += f" to where the prompts differ, with {shares} of the attention"
        else:
            most = dict.fromkeys(t for look in own for t in _most(look))
            text += f", mostly to {describe.listed(list(most), self.token)}"
        values = [name for head in heads for name in head.values]
        own_nodes = [node for head in heads for node in self._of(head)]
        pronoun = "their" if several else "its"
        keys = self._mostly(node.name for node in own_nodes if node.site == nodes.K)
        if keys:
            text += f" ({pronoun} keys are {_article(keys)})"
        if not values:
            text += f"; {pronoun} values are not kept: only how much it looks counts"
        elif brings:
            text += f"; {pronoun} values are {_article(brings)}"
        writes = self._fed(values)
        if writes:
            text += f", which goes into {_channels(writes)}"
        worth = max(self._worth(head) for head in heads)
        text += f". Without the dearest of {pronoun} nodes {_rise(worth)}."
        return Step(text, tuple(node.name for node in (*own_nodes, *writes)))

    # --- Neurons and answers --------------------------------------------------------

    def _making(self, neuron: GraphNode) -> Step:
        told = self.told[neuron.name]
        reads = self._feeding(neuron.name)
        writes = self._fed([neuron.name])
        text = f"Neuron {neuron.index} of layer {neuron.layer}"
        text += f" reads {_channels(reads)}" if reads else " is a constant"
        if writes:
            text += f" and writes to {_channels(writes)}"
        text += f". {_sentence(told)} Without it {_rise(_cost(neuron))}."
        around = (node.name for node in (*reads, *writes))
        return Step(text, (neuron.name, *around))

    def _answering(self) -> Iterator[Step]:
        writes = {
            node: abs(node.direct or 0.0)
            for node in self.graph.nodes
            if node.site in edges.WRITES
        }
        chosen = _dearest(writes)
        if not chosen:
            return
        each = _and(
            f"channel {node.index} as {PART[node.site]} of layer {node.layer} leaves "
            f"it, {abs(node.direct or 0):.2f} nats of logit "
            f"{'towards' if (node.direct or 0) > 0 else 'away from'} the right one"
            for node in chosen
        )
        others = sum(worth > 0 for worth in writes.values()) - len(chosen)
        rest = f"; {others} more say less" if others > 0 else ""
        yield Step(
            f"The answer is read off {each}{rest}.",
            tuple(node.name for node in chosen),
        )

    # --- Around a node --------------------------------------------------------------

    def _fed(self, names: Iterable[str]) -> list[GraphNode]:
        """The writes that these lead to, those that matter."""
        own = set(names)
        return self._worthy({e.dst for e in self.graph.edges if e.src in own})

    def _feeding(self, name: str) -> list[GraphNode]:
        return self._worthy({e.src for e in self.graph.edges if e.dst == name})

    def _worthy(self, names: set[str]) -> list[GraphNode]:
        found = (node for node in self.graph.nodes if node.name in names)
        return _dearest({node: _cost(node) for node in found})


def _cost(node: GraphNode) -> float:
    return min(node.effect or 0.0, math.log(2))


def _dearest(worth: Mapping[T, float]) -> list[T]:
    """A few, the dearest first."""
    order = sorted(worth, key=lambda one: -worth[one])[:MOST]
    least = MUCH * max(worth.values(), default=0.0)
    return [one for one in order if worth[one] > 0 and worth[one] >= least]


def _most(look: Look) -> list[int]:
    """Tokens that it looks at as much as half of what it most looks at."""
    least = max(look.by_token.values(), default=0.0) / 2
    order = sorted(look.by_token, key=lambda token: -look.by_token[token])
    return [token for token in order if look.by_token[token] >= least][: MOST + 1]


def _channels(found: Sequence[GraphNode]) -> str:
    indices = sorted({node.index for node in found})
    return f"channel{'s' if len(indices) > 1 else ''} {_and(indices)}"


def _rise(cost: float) -> str:
    more = " or more: it guesses" if cost >= math.log(2) else ""
    return f"the loss rises by {cost:.2f} nats{more}"


def _article(title: str) -> str:
    """A title in a sentence: the quote type, a quote detector."""
    return f"the {title}" if " type" in title else f"a {title}"


def _sentence(told: Description) -> str:
    """What a node does on the task."""
    text = told.text.split("; in running text")[0].removeprefix(f"{told.title}: ")
    if told.title == "place":
        return f"{text[0].upper()}{text[1:]}."
    if told.title:
        return f"It is {_article(told.title)}: {text}."
    return f"It goes {text.split(';')[0]}."


def _and(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def of(
    graph: Graph,
    told: Mapping[str, Description],
    looks: Sequence[Look],
    sample: Sample,
    token: Token,
) -> list[Step]:
    """The account of a circuit that was drawn, described and watched."""
    by_head = {(look.layer, look.head): look for look in looks}
    return Teller(graph, told, by_head, sample, token).steps()
