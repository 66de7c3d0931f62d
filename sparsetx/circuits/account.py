"""How a circuit decides, in a few sentences, each with the nodes that it speaks of.

Told in the order of computation: in what prompts differ, what heads look for and bring
back, what neurons make of it, and what speaks to the answers. A sentence is made of
figures that were measured (effects.py, drive.py) and says nothing that they do not. Of
a kind the dearest few are told, and how many are not: the nats by which the loss rises
without a node are its price.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sparsetx import nodes
from sparsetx.circuits import describe, edges, prose
from sparsetx.circuits.describe import Description, Look, Token
from sparsetx.circuits.drive import Sample
from sparsetx.circuits.graph import Graph
from sparsetx.circuits.parts import GraphNode, Head

MOST = 3  # of a kind, those
MUCH = 0.25  # whose price is that of the dearest, which counts as guessing at most
LEAST = 0.005  # nats: what rounds to nothing is nothing
CARRIED = 0.1  # of the decision: less is not told
THERE = 0.25  # of a head's attention: with more, it looks where prompts differ
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
        return [*found, *self._answering(), *self._left(heads, neurons)]

    def _differ(self) -> Step:
        one, other = (
            describe.listed(side, self.token) for side in describe.sides(self.sample)
        )
        if self._aligned:
            places = self.sample.apart_BL.sum(1)
            what = "one token" if (places == 1).all() else "some tokens"
            text = f"The two prompts of a pair differ in {what}: {one} in A, {other} in"
            return Step(f"{text} B.", ())
        sides = zip("AB", (one, other), strict=True)
        more = [f"{side} has more of {own}" for side, own in sides if own]
        text = "The two prompts of a pair are not equally long"
        return Step(f"{text}: {' and '.join(more)}." if more else f"{text}.", ())

    @property
    def _aligned(self) -> bool:
        """Whether prompts of pairs can be compared place by place."""
        last_B = self.sample.position_B
        return bool((last_B[::2] == last_B[1::2]).all())

    # --- What is worth telling ------------------------------------------------------

    def _heads(self) -> list[Head]:
        return _dearest({head: self._price(head) for head in self.graph.heads})

    def _neurons(self) -> list[GraphNode]:
        own = (n for n in self.graph.nodes if n.site == nodes.MLP_NEURON)
        return _dearest({node: _price(node) for node in own})

    def _of(self, head: Head) -> list[GraphNode]:
        return [
            node
            for node in self.graph.nodes
            if (node.layer, node.head) == (head.layer, head.index)
        ]

    def _price(self, head: Head) -> float:
        return max(map(_price, self._of(head)), default=0.0)

    def _left(
        self, heads: Sequence[Head], neurons: Sequence[GraphNode]
    ) -> Iterator[Step]:
        """How much of the circuit was not told."""
        kept = [n for n in self.graph.nodes if n.site == nodes.MLP_NEURON]
        others = len(self.graph.heads) - len(heads), len(kept) - len(neurons)
        prices = [self._price(h) for h in self.graph.heads if h not in heads]
        prices += [_price(n) for n in kept if n not in neurons]
        if any(others):
            named = [_count(others[0], "head"), _count(others[1], "neuron")]
            several = len(prices) > 1
            yield Step(
                f"It also keeps {_and(text for text in named if text)}: without one of "
                f"{'their' if several else 'its'} nodes {_rise(max(prices))}"
                f"{' at most' * several}.",
                (),
            )

    # --- Heads ----------------------------------------------------------------------

    def _looking(self, heads: Sequence[Head]) -> Iterator[Step]:
        """Heads of a layer that do alike are told together."""
        alike: dict[tuple[object, ...], list[Head]] = {}
        for head in heads:
            where = None if self._there(head) >= THERE else self._look(head).most
            kind = where, bool(head.values), self._mostly(head.values), self._keys(head)
            alike.setdefault(kind, []).append(head)
        return map(self._told, alike.values())

    def _look(self, head: Head) -> Look:
        return self.looks[head.layer, head.index]

    def _there(self, head: Head) -> float:
        """The part of its attention that goes where prompts differ."""
        look = self._look(head)
        return look.apart * (1 - look.sink)

    def _keys(self, head: Head) -> str:
        """What its keys are, if that is of what decides."""
        kind = self._mostly(n.name for n in self._of(head) if n.site == nodes.K)
        return (
            kind if kind.startswith(describe.decided(self.sample, self.token)) else ""
        )

    def _mostly(self, names: Iterable[str]) -> str:
        """What more than half of these nodes are, in a word or two."""
        titles = [self.told[name].title for name in names]
        best = max(titles, key=titles.count, default="")
        return best if 2 * titles.count(best) > len(titles) else ""

    def _told(self, heads: Sequence[Head]) -> Step:
        several, head = len(heads) > 1, heads[0]
        its, s = ("their", "") if several else ("its", "s")
        names = _and(h.index for h in heads)
        text = f"Head{'s' * several} {names} of layer {head.layer} look{s} back from "
        text += "the last token"
        if self._there(head) >= THERE:
            shares = _and(f"{self._there(h):.0%}" for h in heads)
            where = "where the prompts differ"
            if not self._aligned:
                where = "tokens that one prompt has more of"
            sure = min(self._look(h).tells for h in heads)
            text += f", with {shares} of {its} attention to {where} (AUC {sure:.2f} "
            text += "against other places)"
        else:
            token = describe.listed([self._look(head).most], self.token)
            text += f", most to places with {token}"
        if keys := _plural(self._keys(head)):
            text += f"; {its} keys are {keys}"
        values = [name for h in heads for name in h.values]
        writes = self._fed(values)
        if values and several and (brings := _plural(self._mostly(values))):
            text += f"; {its} values are {brings}"
        elif values and not several:
            text += self._value(values)
        if writes:
            text += f"; what {its} values hold goes into {_channels(writes)}"
            text += self._at_the_end(writes[0])
        if not values and head.sink is not None:
            text += f"; {its} values are not kept: only how little the sink gets counts"
        price = max(map(self._price, heads))
        own = [node for h in heads for node in self._of(h)]
        text += f". Without the dearest of {its} nodes {_rise(price)}.{_carried(own)}"
        return Step(text, tuple(node.name for node in (*own, *writes)))

    def _value(self, names: Sequence[str]) -> str:
        """What the dearest of a head's values is."""
        dearest = max(map(self.graph.node, names), key=_price)
        told = self.told[dearest.name]
        if "type" not in told.title and "detector" not in told.title:
            return ""
        return (
            f"; its value {dearest.index} is {_article(told.title)}: {_figures(told)}"
        )

    def _at_the_end(self, write: GraphNode) -> str:
        """What a write is at the last token, where that tells the prompts apart."""
        told = self.told[write.name]
        if not told.title.endswith("at the end"):
            return ""
        ends = describe.pair(told.drive.end_first, told.drive.end_second)
        return f" (channel {write.index}: {ends} at the end of A and B)"

    # --- Neurons and answers --------------------------------------------------------

    def _making(self, neuron: GraphNode) -> Step:
        reads, writes = self._feeding(neuron.name), self._fed([neuron.name])
        text = f"Neuron {neuron.index} of layer {neuron.layer} "
        text += f"reads {_channels(reads)}" if reads else "is a constant"
        if writes:
            text += f" and writes to {_channels(writes)}"
        does = _sentence(self.told[neuron.name]) if reads else ""
        text += f". {does}Without it {_rise(_price(neuron))}.{_carried([neuron])}"
        around = (node.name for node in (*reads, *writes))
        return Step(text, (neuron.name, *around))

    def _answering(self) -> Iterator[Step]:
        heard = {output.channel for output in self.graph.outputs}
        says = {
            node: abs(node.direct or 0.0)
            for node in self.graph.nodes
            if node.site in edges.WRITES and node.index in heard
        }
        chosen = _dearest(says)
        if not chosen:
            return
        each = _and(
            f"{PART[node.site]} of layer {node.layer} in channel {node.index}, by "
            f"{abs(node.direct or 0):.2f} nats of logit "
            f"{'towards' if (node.direct or 0) > 0 else 'away from'} the right one"
            for node in chosen
        )
        others = sum(size > 0 for size in says.values()) - len(chosen)
        rest = f"; {others} more {'say' if others > 1 else 'says'} less" * (others > 0)
        yield Step(
            f"What speaks to the answers is {each}{rest}.",
            tuple(node.name for node in chosen),
        )

    # --- Around a node --------------------------------------------------------------

    def _fed(self, names: Iterable[str]) -> list[GraphNode]:
        """What these lead to, as far as it matters."""
        own = set(names)
        return self._worthy({e.dst for e in self.graph.edges if e.src in own})

    def _feeding(self, name: str) -> list[GraphNode]:
        return self._worthy({e.src for e in self.graph.edges if e.dst == name})

    def _worthy(self, names: set[str]) -> list[GraphNode]:
        """The dearest; where all are cheap, some."""
        found = [node for node in self.graph.nodes if node.name in names]
        return _dearest({node: _price(node) for node in found}) or found[:MOST]


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


def _price(node: GraphNode) -> float:
    return node.effect or 0.0


def _dearest(price: Mapping[T, float]) -> list[T]:
    """A few, the dearest first."""
    order = sorted(price, key=lambda one: -price[one])[:MOST]
    top = min(max(price.values(), default=0.0), math.log(2))
    return [one for one in order if price[one] >= max(LEAST, MUCH * top)]


# --- words --------------------------------------------------------------------------


def _rise(nats: float) -> str:
    return f"the loss rises by {max(nats, 0.0):.2f} nats"


def _carried(found: Sequence[GraphNode]) -> str:
    """What moves the answer most when it alone is taken from the other prompt."""
    share = {node: node.swap or 0.0 for node in found}
    best = max(share, key=lambda node: share[node], default=None)
    if best is None or share[best] < CARRIED:
        return ""
    what = "it" if len(found) == 1 else f"{prose.KINDS[best.site]} {best.index}"
    return (
        f" Taken from the other prompt, {what} alone carries {share[best]:.0%} of the "
        "decision."
    )


def _channels(found: Sequence[GraphNode]) -> str:
    indices = sorted({node.index for node in found})
    return f"channel{'s' * (len(indices) > 1)} {_and(indices)}"


def _plural(title: str) -> str:
    """What several nodes of a title are, if that is worth a word."""
    if " type" in title:
        return f"the {title}"
    return f"{title}s" if title.endswith("detector") else ""


def _figures(told: Description) -> str:
    """A description without its title, on the task alone."""
    return told.text.split("; in running text")[0].removeprefix(f"{told.title}: ")


def _article(title: str) -> str:
    article = "the" if " type" in title else "an" if title[0] in "aeiou" else "a"
    return f"{article} {title}"


def _sentence(told: Description) -> str:
    """What a node does on the task."""
    text = _figures(told)
    if not told.title:
        return f"It goes {text.split(';')[0]}. "
    if told.title == "place":
        return f"{text[0].upper()}{text[1:]}. "
    return f"It is {_article(told.title)}: {text}. "


def _count(many: int, noun: str) -> str:
    return f"{many} {noun}{'s' * (many > 1)}" if many else ""


def _and(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
