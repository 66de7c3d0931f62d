"""The story of a circuit: at most six scenes, for readers who see it the first time.

A scene is a part of the drawing, a sentence made of measured figures, and something to
try with the model in the page: nodes that are set to their means (`mean`) or to what
they are on the other prompt (`patch`), heads whose attention is held (`freeze`). The
page itself swaps the deciding tokens. Scenes follow the mechanism (mechanism.py): in
what the prompts differ, where heads look, what they bring, what neurons say, where the
answer is read, and under which ablations all of this holds.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsetx import nodes
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.explain import descriptions, mechanism
from sparsetx.circuits.explain.descriptions import Description, Look
from sparsetx.circuits.explain.explanation import Explanation
from sparsetx.circuits.explain.graph_parts import GraphNode
from sparsetx.circuits.explain.mechanism import Step
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.data.tokenizer import Tokenizer

FEW = 2  # deciding tokens of a side that a sentence names
INSIDE = 3  # scenes between the difference and the answer, at most
DIFFERENCE, ATTENTION, VALUE, NEURON, ANSWERS, LIMITS = (
    "difference", "attention", "value", "neuron", "answers", "limits",
)  # fmt: skip
MEAN, PATCH, FREEZE = "mean", "patch", "freeze"
RUNGS = {
    "mean": "replaced by their averages",
    "norms": "replaced by their averages and norms held as in the whole model",
    "mixtures": "mixed with their averages at random",
    "other prompts": "replaced by what they are on other prompts",
}
Act = tuple[str, tuple[str, ...]]  # what is done, and to which nodes
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True)
class Scene:
    """`heads`: (layer, head) of those that it is about; `carrier`: the node whose value
    is shown; `does`: what the button says that does `acts`."""

    kind: str
    text: str
    nodes: tuple[str, ...] = ()
    heads: tuple[Head, ...] = ()
    carrier: str | None = None
    does: str = ""
    acts: tuple[Act, ...] = ()
    weight: float = 0.0  # the largest of its costs and effects


def of(
    seen: Explanation,
    sample: Sample,
    ladder: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
) -> list[Scene]:
    """The scenes of a circuit, from its explanation on a sample of prompts; none where
    nothing was measured."""
    if not seen.steps:
        return []
    teller = _Teller(seen, sample, tokenizer)
    first: list[Scene] = []
    inside: list[Scene] = []
    last: list[Scene] = []
    for step in seen.steps:
        if step.kind == mechanism.DIFFERENCE:
            said = step.text.replace("The two prompts of a pair", "Prompts A and B")
            first.append(Scene(DIFFERENCE, said))
        elif step.kind == mechanism.HEADS:
            inside += teller.heads(step)
        elif step.kind == mechanism.NEURON:
            inside += teller.neuron(step)
        elif step.kind == mechanism.ANSWERS:
            last.append(teller.answers(step))
    most = sorted(inside, key=lambda scene: -scene.weight)[:INSIDE]
    kept = [scene for scene in inside if any(scene is other for other in most)]
    return [*first, *kept, *last, *limits(ladder)]


@dataclass(frozen=True)
class _Teller:
    seen: Explanation
    sample: Sample
    tokenizer: Tokenizer

    @functools.cached_property
    def told(self) -> dict[str, Description]:
        return {name_of(node): one for node, one in self.seen.told.items()}

    def heads(self, step: Step) -> Iterator[Scene]:
        """Where they look; and what they bring, where that tells the prompts apart."""
        own = [self.seen.graph.node(name) for name in step.nodes]
        heads = tuple(sorted({(n.layer, n.head) for n in own if n.head is not None}))
        yield self._attention(own, heads)
        values = [n for n in own if n.site == nodes.V]
        carrier = max(values, key=_effect, default=None)
        if carrier is not None and _tells(self.told[carrier.name]):
            yield self._value(own, heads, values, carrier)

    def _attention(self, own: Sequence[GraphNode], heads: Sequence[Head]) -> Scene:
        looks = [x for x in self.seen.looks if (x.layer, x.head) in heads]
        inside = [n for n in own if n.head is not None]
        steering = [n for n in inside if n.site in (nodes.Q, nodes.K)]
        its, it = _pronouns(heads)
        return Scene(
            ATTENTION,
            f"At the last token, {_named(heads)} {self._looks(looks)}.",
            tuple(n.name for n in own),
            tuple(heads),
            None,
            f"Knock out {its} queries and keys" if steering else f"Knock {it} out",
            ((MEAN, tuple(n.name for n in steering or inside)),),
            max(map(_cost, inside)),
        )

    def _value(
        self,
        own: Sequence[GraphNode],
        heads: Sequence[Head],
        values: Sequence[GraphNode],
        carrier: GraphNode,
    ) -> Scene:
        told = self.told[carrier.name]
        apart = self._apart(told.statistics.at_first, told.statistics.at_second)
        s = "" if len(heads) > 1 else "s"
        its, it = _pronouns(heads)
        names = tuple(n.name for n in values)
        around = (n.name for n in own if n.site not in (nodes.Q, nodes.K))
        return Scene(
            VALUE,
            f"What {_named(heads)} bring{s} is the {told.title}: on average {apart}."
            f"{_share(carrier, 'Value')}",
            tuple(dict.fromkeys((*names, *around))),
            tuple(heads),
            carrier.name,
            f"Give {it} the other prompt's values, but hold {its} attention",
            ((PATCH, names), (FREEZE, names)),
            max(_effect(carrier), _cost(carrier)),
        )

    def _looks(self, looks: Sequence[Look]) -> str:
        there = [look.apart * (1 - look.sink) for look in looks]
        s = "s" if len(looks) == 1 else ""
        if looks and min(there) >= mechanism.THERE:
            shares = " and ".join(f"{x:.0%}" for x in there)
            its = "its" if s else "their"
            return f"look{s} back: {shares} of {its} attention is where A and B differ"
        token = descriptions.listed([looks[0].most], self.tokenizer.token)
        return f"look{s} mostly at {token}, wherever that is"

    def neuron(self, step: Step) -> Iterator[Scene]:
        """What a neuron says, unless it is a constant."""
        node = self.seen.graph.node(step.nodes[0])
        told = self.told[node.name]
        if told.title == "constant":
            return
        found = told.statistics
        text = f"In layer {node.layer}, neuron {node.index} "
        if told.title.endswith("at the end"):
            text += f"holds the {told.title}: "
            text += f"{self._apart(found.end_first, found.end_second)}."
        elif _tells(told):
            text += f"is the {told.title}: "
            text += f"{self._apart(found.at_first, found.at_second)}."
        else:
            text += f"helps: without it the loss rises by {_cost(node):.2f} nats."
        acts = ((MEAN, (node.name,)),)
        yield Scene(
            NEURON, text + _share(node, "Neuron"), step.nodes, (), node.name,
            "Knock it out", acts, max(_effect(node), _cost(node)),
        )  # fmt: skip

    def answers(self, step: Step) -> Scene:
        """The write with the largest direct effect, and what else adds to it."""
        first = self.seen.graph.node(step.nodes[0])
        part = mechanism.SUBLAYER[first.site]
        text = f"The answer is read from what {part} of layer {first.layer} has written"
        text += f": channel {first.index} alone adds {abs(first.direct or 0):.2f} nats "
        text += (
            "to the lead of the right answer"
            if (first.direct or 0) > 0
            else ("against the right answer")
        )
        others = len(step.nodes) - 1
        does = "Knock out this write"
        if others:
            more = "other writes come" if others > 1 else "other write comes"
            text += f", and {others} {more} next"
            does = f"Knock out these {others + 1} writes"
        return Scene(
            ANSWERS, f"{text}.", step.nodes, (), None, does, ((MEAN, step.nodes),)
        )

    def _apart(self, one: float, other: float) -> str:
        """A value in A and in B, which are named by their deciding tokens if these are
        few."""
        sides = descriptions.sides(self.sample)
        low, high = descriptions.pair(one, other).split(" / ")
        if max(map(len, sides)) > FEW or not min(map(len, sides)):
            return f"{low} in A, {high} in B"
        a, b = (descriptions.listed(side, self.tokenizer.token) for side in sides)
        return f"{low} after {a}, {high} after {b}"


def limits(ladder: Sequence[Mapping[str, Any]]) -> Iterator[Scene]:
    """Under which ablations of all other nodes the circuit's loss stays small."""
    tested = [rung for rung in ladder if rung["holds"] is not None]
    held = [RUNGS[rung["name"]] for rung in tested if rung["holds"]]
    lost = [RUNGS[rung["name"]] for rung in tested if not rung["holds"]]
    said = []
    if held:
        said.append(f"with all other nodes {held[-1]}, it still does the task")
    if lost:
        said.append(f"with the others {lost[0]}, it no longer does")
    if said:
        yield Scene(
            LIMITS, f"Is this part of the model enough? {_first('; '.join(said))}."
        )


def _pronouns(heads: Sequence[Head]) -> tuple[str, str]:
    return ("their", "them") if len(heads) > 1 else ("its", "it")


def _named(heads: Sequence[Head]) -> str:
    every = [str(head) for _, head in heads]
    s = "s" * (len(every) > 1)
    listed = ", ".join(every[:-1]) + " and " * bool(s) + every[-1]
    return f"head{s} {listed} of layer {heads[0][0]}"


def _first(text: str) -> str:
    return text[0].upper() + text[1:]


def _tells(told: Description) -> bool:
    return "type" in told.title


def _share(node: GraphNode, what: str) -> str:
    if _effect(node) < mechanism.CARRIED:
        return ""
    return (
        f" {what} {node.index} alone carries {min(1, _effect(node)):.0%} of the "
        "decision."
    )


def _cost(node: GraphNode) -> float:
    return node.cost or 0.0


def _effect(node: GraphNode) -> float:
    return node.interchange or 0.0
