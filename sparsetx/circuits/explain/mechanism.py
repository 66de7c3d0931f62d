"""The mechanism of a circuit in a few sentences, each with the nodes that it is about.

In the order of computation: in what the two prompts of a pair differ, where heads
attend and what they write, what neurons read and write, and which writes the answers
are read from. Sentences are built from measured figures only (ablation_costs.py,
node_statistics.py). Of each kind, the few of the largest ablation costs are described;
the last sentence counts the others.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sparsetx import nodes
from sparsetx.circuits.explain import descriptions
from sparsetx.circuits.explain.descriptions import Description, Look, Token
from sparsetx.circuits.explain.graph import Graph
from sparsetx.circuits.explain.graph_parts import GraphNode, Head
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.measure import edges

# Described are, of a kind, at most MOST, of which each has at least MUCH of the largest
# ablation cost (which counts as guessing at most), and LEAST nats: less prints as 0.00.
MOST, MUCH, LEAST = 3, 0.25, 0.005
CARRIED = 0.1  # smaller interchange effects are not mentioned
THERE = 0.25  # of a head's attention: with more, it attends where prompts differ
SUBLAYER = {nodes.ATTN_OUT: "the attention", nodes.MLP_OUT: "the MLP"}
T = TypeVar("T")


# What a step is about.
DIFFERENCE, HEADS, NEURON, ANSWERS, OTHERS = (
    "difference", "heads", "neuron", "answers", "others",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    kind: str
    text: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Sentences:
    """Writes the steps. `described`: descriptions by name of node."""

    graph: Graph
    described: Mapping[str, Description]
    looks: Mapping[tuple[int, int], Look]
    sample: Sample
    token: Token

    def steps(self) -> list[Step]:
        """All steps; none where costs were not measured."""
        if self.graph.loss is None:
            return []
        layers = sorted({node.layer for node in self.graph.nodes})
        heads, neurons = self._heads(), self._neurons()
        found = [self._difference()]
        for layer in layers:
            found += self._of_heads([h for h in heads if h.layer == layer])
            found += map(self._of_neuron, (n for n in neurons if n.layer == layer))
        return [*found, *self._of_answers(), *self._of_others(heads, neurons)]

    def _difference(self) -> Step:
        """In what the two prompts of a pair differ."""
        one, other = (
            descriptions.listed(side, self.token)
            for side in descriptions.sides(self.sample)
        )
        if self._aligned:
            places = self.sample.apart_BL.sum(1)
            what = "one token" if (places == 1).all() else "some tokens"
            text = f"The two prompts of a pair differ in {what}: {one} in A, {other} in"
            return Step(DIFFERENCE, f"{text} B.", ())
        sides = zip("AB", (one, other), strict=True)
        more = [f"{side} has more of {own}" for side, own in sides if own]
        text = "The two prompts of a pair are not equally long"
        text += f": {' and '.join(more)}." if more else "."
        return Step(DIFFERENCE, text, ())

    @property
    def _aligned(self) -> bool:
        """Whether the prompts of each pair are equally long."""
        last_B = self.sample.position_B
        return bool((last_B[::2] == last_B[1::2]).all())

    # --- What is described ----------------------------------------------------------

    def _heads(self) -> list[Head]:
        return _largest({head: self._cost(head) for head in self.graph.heads})

    def _neurons(self) -> list[GraphNode]:
        own = (n for n in self.graph.nodes if n.site == nodes.MLP_NEURON)
        return _largest({node: _cost(node) for node in own})

    def _inside(self, head: Head) -> list[GraphNode]:
        """Its kept queries, keys and values."""
        return [
            node
            for node in self.graph.nodes
            if (node.layer, node.head) == (head.layer, head.index)
        ]

    def _cost(self, head: Head) -> float:
        """The largest ablation cost of its nodes."""
        return max(map(_cost, self._inside(head)), default=0.0)

    def _of_others(
        self, heads: Sequence[Head], neurons: Sequence[GraphNode]
    ) -> Iterator[Step]:
        """How many heads and neurons were not described."""
        kept = [n for n in self.graph.nodes if n.site == nodes.MLP_NEURON]
        others = len(self.graph.heads) - len(heads), len(kept) - len(neurons)
        costs = [self._cost(h) for h in self.graph.heads if h not in heads]
        costs += [_cost(n) for n in kept if n not in neurons]
        if any(others):
            named = [_count(others[0], "head"), _count(others[1], "neuron")]
            yield Step(
                OTHERS,
                f"It also keeps {_and(text for text in named if text)}, where no node "
                f"has an ablation cost above {_nats(max(costs))}.",
                (),
            )

    # --- Heads ----------------------------------------------------------------------

    def _of_heads(self, heads: Sequence[Head]) -> Iterator[Step]:
        """A step for each group of heads of a layer that do the same."""
        alike: dict[tuple[object, ...], list[Head]] = {}
        for head in heads:
            where = None if self._there(head) >= THERE else self._look(head).most
            kind = where, bool(head.values), self._mostly(head.values), self._keys(head)
            alike.setdefault(kind, []).append(head)
        return map(self._of_alike, alike.values())

    def _look(self, head: Head) -> Look:
        return self.looks[head.layer, head.index]

    def _there(self, head: Head) -> float:
        """The fraction of its attention that goes where prompts differ."""
        look = self._look(head)
        return look.apart * (1 - look.sink)

    def _keys(self, head: Head) -> str:
        """What its keys are, if they depend on what decides; else nothing."""
        kind = self._mostly(n.name for n in self._inside(head) if n.site == nodes.K)
        return (
            kind
            if kind.startswith(descriptions.decided(self.sample, self.token))
            else ""
        )

    def _mostly(self, names: Iterable[str]) -> str:
        """The title that more than half of these nodes have; else nothing."""
        titles = [self.described[name].title for name in names]
        best = max(titles, key=titles.count, default="")
        return best if 2 * titles.count(best) > len(titles) else ""

    def _of_alike(self, heads: Sequence[Head]) -> Step:
        several, head = len(heads) > 1, heads[0]
        its, s = ("their", "") if several else ("its", "s")
        names = _and(h.index for h in heads)
        text = f"Head{'s' * several} {names} of layer {head.layer} attend{s} from "
        text += "the last token"
        if self._there(head) >= THERE:
            shares = _and(f"{self._there(h):.0%}" for h in heads)
            where = "where the prompts differ"
            if not self._aligned:
                where = "on tokens that one prompt has more of"
            sure = min(self._look(h).tells for h in heads)
            text += f", with {shares} of {its} attention {where} (AUC {sure:.2f} "
            text += "against other positions)"
        else:
            token = descriptions.listed([self._look(head).most], self.token)
            text += f", most to {token}"
        if keys := _plural(self._keys(head)):
            text += f"; {its} keys are {keys}"
        values = [name for h in heads for name in h.values]
        writes = self._outputs(values)
        if values and several and (carry := _plural(self._mostly(values))):
            text += f"; {its} values are {carry}"
        elif values and not several:
            text += self._value(values)
        if writes:
            text += f"; {its} values are written to {_channels(writes)}"
            text += self._at_the_end(writes[0])
        if not values and head.sink is not None:
            text += (
                f"; {its} values are not kept: all that varies is how much attention "
            )
            text += "the sink takes from them"
        cost = _nats(max(map(self._cost, heads)))
        own = [node for h in heads for node in self._inside(h)]
        text += f". The largest ablation cost of {its} nodes is {cost}."
        text += _interchange(own)
        return Step(HEADS, text, tuple(node.name for node in (*own, *writes)))

    def _value(self, names: Sequence[str]) -> str:
        """What the value of the largest ablation cost is."""
        value = max(map(self.graph.node, names), key=_cost)
        told = self.described[value.name]
        if "type" not in told.title and "detector" not in told.title:
            return ""
        return f"; its value {value.index} is {_article(told.title)}: {_figures(told)}"

    def _at_the_end(self, write: GraphNode) -> str:
        """A write's values at the last token, where they tell the prompts apart."""
        told = self.described[write.name]
        if not told.title.endswith("at the end"):
            return ""
        end = told.statistics
        ends = descriptions.pair(end.end_first, end.end_second)
        return f" (channel {write.index}: {ends} at the last token of A / B)"

    # --- Neurons and answers --------------------------------------------------------

    def _of_neuron(self, neuron: GraphNode) -> Step:
        reads, writes = self._inputs(neuron.name), self._outputs([neuron.name])
        text = f"Neuron {neuron.index} of layer {neuron.layer} "
        text += f"reads {_channels(reads)}" if reads else "is a constant"
        if writes:
            text += f" and writes to {_channels(writes)}"
        does = _sentence(self.described[neuron.name]) if reads else ""
        text += f". {does}Its ablation cost is {_nats(_cost(neuron))}."
        text += _interchange([neuron])
        around = (node.name for node in (*reads, *writes))
        return Step(NEURON, text, (neuron.name, *around))

    def _of_answers(self) -> Iterator[Step]:
        """The writes of the largest direct effects on the answers."""
        read = {output.channel for output in self.graph.outputs}
        sizes = {
            node: abs(node.direct or 0.0)
            for node in self.graph.nodes
            if node.site in edges.WRITES and node.index in read
        }
        chosen = _largest(sizes)
        if not chosen:
            return
        each = _and(
            f"{SUBLAYER[node.site]} of layer {node.layer} in channel {node.index} "
            f"({abs(node.direct or 0):.2f} nats of logit "
            f"{'towards' if (node.direct or 0) > 0 else 'away from'} the right one)"
            for node in chosen
        )
        others = sum(size > 0 for size in sizes.values()) - len(chosen)
        rest = f"; {_count(others, 'write')} more add{'s' * (others == 1)} less"
        yield Step(
            ANSWERS,
            f"The answers are read from {each}{rest * (others > 0)}.",
            tuple(node.name for node in chosen),
        )

    # --- Around a node --------------------------------------------------------------

    def _outputs(self, names: Iterable[str]) -> list[GraphNode]:
        """The main nodes that these have edges to."""
        own = set(names)
        return self._main({e.dst for e in self.graph.edges if e.src in own})

    def _inputs(self, name: str) -> list[GraphNode]:
        return self._main({e.src for e in self.graph.edges if e.dst == name})

    def _main(self, names: set[str]) -> list[GraphNode]:
        """Those of the largest costs; where all costs are near zero, the first ones."""
        found = [node for node in self.graph.nodes if node.name in names]
        return _largest({node: _cost(node) for node in found}) or found[:MOST]


def of(
    graph: Graph,
    described: Mapping[str, Description],
    looks: Sequence[Look],
    sample: Sample,
    token: Token,
) -> list[Step]:
    """The mechanism, from a circuit's graph, descriptions and attention (`looks`)."""
    by_head = {(look.layer, look.head): look for look in looks}
    return Sentences(graph, described, by_head, sample, token).steps()


def _cost(node: GraphNode) -> float:
    return node.cost or 0.0


def _largest(costs: Mapping[T, float]) -> list[T]:
    """The few of the largest costs, the largest first."""
    order = sorted(costs, key=lambda one: -costs[one])[:MOST]
    top = min(max(costs.values(), default=0.0), math.log(2))
    return [one for one in order if costs[one] >= max(LEAST, MUCH * top)]


# --- words --------------------------------------------------------------------------


def _nats(cost: float) -> str:
    return f"{max(cost, 0.0):.2f} nats"


def _interchange(found: Sequence[GraphNode]) -> str:
    """The largest interchange effect of these nodes, unless it is small."""
    effects = {node: node.interchange or 0.0 for node in found}
    best = max(effects, key=lambda node: effects[node], default=None)
    if best is None or effects[best] < CARRIED:
        return ""
    if len(found) == 1:
        return f" Its interchange effect is {effects[best]:.0%}."
    what = f"{nodes.KINDS[best.site]} {best.index}"
    return f" The interchange effect of {what} alone is {effects[best]:.0%}."


def _channels(found: Sequence[GraphNode]) -> str:
    indices = sorted({node.index for node in found})
    return f"channel{'s' * (len(indices) > 1)} {_and(indices)}"


def _plural(title: str) -> str:
    """A title for several nodes; nothing unless it is a type or a detector."""
    if " type" in title:
        return f"the {title}"
    return f"{title}s" if title.endswith("detector") else ""


def _figures(told: Description) -> str:
    """A description without its title and without running text."""
    return told.text.split("; in running text")[0].removeprefix(f"{told.title}: ")


def _article(title: str) -> str:
    article = "the" if " type" in title else "an" if title[0] in "aeiou" else "a"
    return f"{article} {title}"


def _sentence(told: Description) -> str:
    """What a node does on the task."""
    text = _figures(told)
    if not told.title:
        return f"It ranges {text.split(';')[0]}. "
    if told.title == "position":
        return f"{text[0].upper()}{text[1:]}. "
    return f"It is {_article(told.title)}: {text}. "


def _count(many: int, noun: str) -> str:
    return f"{many} {noun}{'s' * (many > 1)}" if many else ""


def _and(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
