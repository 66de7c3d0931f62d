"""Write the body of a circuit's program: one statement for each kept node, in order.

Layer by layer it follows the pruned model: channels of the residual, the norm, reads;
queries, keys, values, attention; neurons; writes; the answers. Everything constant is
folded into one number of a statement; everything that depends on a word alone is in a
table of words. From the layer on in which only the last token matters, variables are
numbers instead of arrays over tokens.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import edges
from sparsetx.circuits.program import python_text, topk_rivals
from sparsetx.circuits.program.constant_folding import Folded, Place
from sparsetx.circuits.program.topk_rules import Choice
from sparsetx.nodes import Node

Column = dict[Hashable, float]
Sources = tuple[int, tuple[Node, ...]]  # a channel, and the kept writes into it so far
SAID = 34  # nodes; in larger circuits there are no comments, only names


@dataclass
class Body:
    """The lines of the body, and the tables that they use."""

    folded: Folded
    called: Mapping[Node, str]
    told: Mapping[Node, str]  # descriptions
    digits: python_text.Digits
    lines: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    arrays: set[str] = field(default_factory=set)  # variables that hold every token
    without_rule: list[Node] = field(
        default_factory=list
    )  # no rule for AbsTopK was found
    channels: dict[Sources, str] = field(default_factory=dict)  # sums that have a name
    choices: dict[Node, Choice | None] = field(default_factory=dict)
    tables: dict[str, topk_rivals.Rows] = field(default_factory=dict)  # of rivals
    said: str = ""  # the last comment
    silent: set[Node] = field(default_factory=set)  # never kept by AbsTopK, or always 0
    stated: set[Node] = field(default_factory=set)  # those with a statement

    # --- pieces --------------------------------------------------------------------

    def heading(self, text: str) -> None:
        self.lines += ["", f"    # --- {text}"]

    def define(self, name: str, value: str, last: bool) -> None:
        self.lines += python_text.statement(name, value)
        if not last:
            self.arrays.add(name)

    def use(self, name: str, last: bool) -> str:
        """A variable; its last item, if it is an array and the last token is meant."""
        return f"{name}[-1]" if last and name in self.arrays else name

    def column(self, stem: str, values: Column, last: bool) -> str | None:
        """An expression that looks words up in the table; None if all values are 0."""
        if not any(values.values()):
            return None
        for count in range(1, 100):
            name = stem if count == 1 else f"{stem}_{count}"
            here = self.columns.setdefault(name, {})
            if all(here.get(word, value) == value for word, value in values.items()):
                here.update(values)
                return f"{'last' if last else 'told'}({python_text.quoted(name)})"
        raise AssertionError(stem)

    def words(self, last: bool) -> list[Hashable]:
        return self.folded.at_the_end if last else self.folded.everywhere

    def node(self, node: Node, value: str) -> None:
        """The statement of one kept node, unless AbsTopK never keeps it."""
        choice = self.choice(node)
        if choice is not None and choice.kind == "never":
            self.silent.add(node)
            return
        last, name = self.folded.only_last(node), self.called[node]
        if choice is None and node.site in edges.READS:
            self.without_rule.append(node)
        elif choice is None:
            value = f"above({self._cut(node, last)}, {value})"
        elif choice.kind == "outside":
            value = self._outside(node, choice, value)
        elif choice.kind == "words":
            flags = {w: float(w in choice.words) for w in self.words(last)}
            value = f"{self.column(f'keeps_{name}', flags, last)} * ({value})"
        self.say(node)
        self.define(name, value, last)
        self.stated.add(node)

    def _cut(self, node: Node, last: bool) -> str:
        """The variable for how large a channel of the site must be to be kept."""
        name = f"cut_{node.site}_{node.layer}"
        table = f"RIVALS_{node.site}_{node.layer}".upper()
        if table in self.tables:
            return name

        def variable(other: Node) -> str:
            attends = other.site == nodes.V
            return self.use(self.called[other], last and not attends)

        found = topk_rivals.of(self.folded, node, self.silent, variable)
        self.tables[table] = found.rows
        contest = found.contest
        self.lines += python_text.comment(
            f"AbsTopK keeps {contest.places + contest.always} of {contest.width} "
            f"channels: {contest.always} of them always, {contest.places} of these "
            f"{len(contest.channels)}."
        )
        named = [
            f"{python_text.quoted(key)}: {value}" for key, value in found.given.items()
        ]
        neuron = node.site == nodes.MLP_NEURON
        act = f", {self.folded.config.activation}" if neuron else ""
        given = f"{{{', '.join(named)}}}"
        self.define(name, f"cut({contest.places}, {table}, {given}{act})", last)
        return name

    def _outside(self, node: Node, choice: Choice, value: str) -> str:
        gain = self.folded.own.gain(node)  # it is not part of a read's variable
        low, high = sorted((choice.low / gain, choice.high / gain))
        if low == -high:
            return f"above({self.digits.number(high)}, {value})"
        return (
            f"outside({self.digits.number(low)}, {self.digits.number(high)}, {value})"
        )

    def choice(self, node: Node) -> Choice | None:
        if node not in self.choices:
            self.choices[node] = self.folded.choice(node)
        return self.choices[node]

    def compared(self, site: str, layer: int) -> bool:
        """Whether AbsTopK at a site must be written as a comparison of its channels, so
        that all kept inputs of the site matter."""
        return any(self.choice(n) is None for n in self.folded.kept(site, layer))

    def say(self, node: Node) -> None:
        """Add its description as a comment, unless the last comment was the same."""
        text = self.told.get(node, "")
        if len(self.called) <= SAID and text != self.said:
            self.lines += python_text.comment(text)
        self.said = text

    # --- the residual --------------------------------------------------------------

    def channel(self, at: Place, index: int, last: bool) -> tuple[str, float]:
        """A channel of the residual as it is read here: a variable, a look-up of words
        or an empty text; and the constant that ablated writes have added to it so far.
        """
        folded = self.folded
        constant = float(folded.constant(at)[index])
        written = folded.written(at).get(index, [])
        writes = tuple(node for node in written if node not in self.silent)
        known = self.channels.get((index, writes))
        if known is not None:
            return self.use(known, last), constant
        words = self.words(last)
        base_N = folded.bases(words, index).tolist()
        base = dict(zip(words, base_N, strict=True))
        said = self.column(f"channel_{index}", base, last)
        parts = [] if said is None else [said]
        parts += [self.use(self.called[node], last) for node in writes]
        if len(parts) < 2:
            return "".join(parts), constant
        known = f"channel_{index}"
        if known in self.channels.values():
            known += f"_{at[0].split('_')[0]}_{at[1]}"
        self.define(known, self.digits.total([(1.0, part) for part in parts]), last)
        self.channels[index, writes] = known
        return known, constant

    def channel_sum(self, at: Place, index: int, last: bool) -> str:
        """The same as one expression, the constant included."""
        name, constant = self.channel(at, index, last)
        return self.digits.total([(1.0, name)] if name else [], constant)

    def norm(self, at: Place, last: bool) -> str:
        """Define the root mean square of the residual; returns its variable."""
        folded = self.folded
        words = self.words(last)
        others_N = np.square(folded.rest(at, words)).sum(1).tolist()
        if len(set(map(self.digits.number, others_N))) == 1:
            parts = [self.digits.number(others_N[0])]
        else:
            others = dict(zip(words, others_N, strict=True))
            parts = [self.column("others", others, last) or "0.0"]
        parts += [self.channel_sum(at, i, last) for i in folded.written(at)]
        name = f"rms_{at[0].split('_')[0]}_{at[1]}"
        self.define(name, f"rms({', '.join(parts)})", last)
        return name

    def reads(self, wanted: Sequence[Node]) -> None:
        """The reads of one sublayer: looked up by word, or divided by the norm."""
        if not wanted:
            return
        at = wanted[0].site, wanted[0].layer
        if not self.folded.written(at):
            for node in wanted:
                self._looked_up(node)
            return
        rms = self.norm(at, all(map(self.folded.only_last, wanted)))
        for node in wanted:
            last = self.folded.only_last(node)
            value = self.channel_sum(at, node.index, last)
            value = f"({value})" if " " in value else value
            self.node(node, f"{value} / {self.use(rms, last)}")

    def _looked_up(self, node: Node) -> None:
        last, name = self.folded.only_last(node), self.called[node]
        values = {w: self.folded.read(node, w) for w in self.words(last)}
        said = self.column(name, values, last)
        if said is None:
            self.silent.add(node)
            return
        self.say(node)
        self.define(name, said, last)
        self.stated.add(node)

    # --- sublayers -----------------------------------------------------------------

    def weighted(self, node: Node) -> str:
        """The weighted sum that a node is computed from."""
        last = self.folded.only_last(node)
        terms, constant = self.folded.inputs(node)
        named = [
            (w, self.use(self.called[n], last))
            for w, n in terms
            if n not in self.silent
        ]
        text = self.digits.total(named, constant)
        return text if named or last else f"np.full(n, {text})"

    def mlp(self, layer: int) -> None:
        writes = self.folded.kept(nodes.MLP_OUT, layer)
        neurons = self._feeding(writes, nodes.MLP_NEURON, layer)
        reads = self._feeding(neurons, nodes.MLP_IN, layer)
        if not writes:
            return
        self.heading(f"layer {layer}, MLP")
        self.reads(reads)
        act = self.folded.config.activation
        for node in neurons:
            self.node(node, f"{act}({self.weighted(node)})")
        for node in writes:
            self.node(node, self.weighted(node))

    def attention(self, layer: int) -> None:
        writes = self.folded.kept(nodes.ATTN_OUT, layer)
        if not writes:
            return
        self.heading(f"layer {layer}, attention")
        heads = [
            head for head in range(self.folded.config.n_head)
            if self.compared(nodes.ATTN_OUT, layer)
            or any(self._contributes(layer, head, write) for write in writes)
        ]  # fmt: skip
        own = self.folded.config.d_head
        needed = [
            node for site in (nodes.Q, nodes.K, nodes.V)
            for node in self.folded.kept(site, layer)
            if node.index // own in heads and self._is_used(node, writes)
        ]  # fmt: skip
        reads = self._feeding(needed, nodes.ATTN_IN, layer)
        self.reads(reads)
        for node in needed:
            self.node(node, self.weighted(node))
        for head in heads:
            self._look(layer, head)
        for write in writes:
            self.node(write, self._mixed(layer, write, heads))

    def _feeding(self, targets: Sequence[Node], site: str, layer: int) -> list[Node]:
        read = {n for target in targets for _, n in self.folded.inputs(target)[0]}
        compared = any(self.compared(n.site, layer) for n in targets)
        return [n for n in self.folded.kept(site, layer) if compared or n in read]

    def _is_used(self, node: Node, writes: Sequence[Node]) -> bool:
        if node.site != nodes.V or self.compared(nodes.ATTN_OUT, node.layer):
            return True
        w = self.folded.out(node.layer)
        return any(w[node.index, write.index] for write in writes)

    def _contributes(self, layer: int, head: int, write: Node) -> bool:
        """Whether a head adds anything to a write that is not constant."""
        dynamic, mean = self.values(layer, head, write)
        return bool(dynamic) or (self.folded.config.sink and mean != 0)

    def values(
        self, layer: int, head: int, write: Node
    ) -> tuple[list[tuple[float, Node]], float]:
        """Weights of a head's kept values into a write; the sum of its ablated ones."""
        c, own, w = self.folded.config, self.folded.own, self.folded.out(layer)
        kept, mean = [], 0.0
        for i in range(head * c.d_head, (head + 1) * c.d_head):
            weight = float(w[i, write.index])
            value = Node(nodes.V, layer, i)
            if weight and own.keep[nodes.V][layer, i]:
                kept.append((weight, value))
            elif weight:
                mean += weight * own.mean(value)
        return kept, mean

    def _look(self, layer: int, head: int) -> None:
        """Define a head's attention pattern: from the last token, or from every one."""
        c, own = self.folded.config, self.folded.own
        last = layer >= self.folded.last_layer
        terms: list[tuple[float, str]] = []
        constant, root = 0.0, float(np.sqrt(c.d_head))
        for i in range(head * c.d_head, (head + 1) * c.d_head):
            q, k = (Node(site, layer, i) for site in (nodes.Q, nodes.K))
            has_q, has_k = (self._alive(node) for node in (q, k))
            q_name = self.use(self.called.get(q, ""), last)
            k_name = self.called.get(k, "")
            if not last and has_q:
                q_name = f"{q_name}[:, None]"
            if q in self.silent or k in self.silent:
                continue
            if has_q and has_k:
                terms.append((1 / root, f"{q_name} * {k_name}"))
            elif has_k:
                terms.append((own.mean(q) / root, k_name))
            elif has_q:
                terms.append((own.mean(k) / root, q_name))
            else:
                constant += own.mean(q) * own.mean(k) / root
        if not c.sink:
            constant = 0.0
        scores = self.digits.total(terms, constant)
        args = [scores, "n" if last else "(n, n)"]
        if c.sink:
            args.append(self.digits.number(own.sink(layer, head) or 0.0))
        self.define(f"looks_{layer}_{head}", f"look_back({', '.join(args)})", True)

    def _alive(self, node: Node) -> bool:
        return bool(self.folded.own.keep[node.site][node.layer, node.index])

    def _mixed(self, layer: int, write: Node, heads: Sequence[int]) -> str:
        """The sum of what the heads add to a write."""
        terms, constant = [], self.folded.own.bias(write)
        for head in heads:
            kept, mean = self.values(layer, head, write)
            look = f"looks_{layer}_{head}"
            for weight, value in kept:
                if value not in self.silent:
                    terms.append((weight, f"{look} @ {self.called[value]}"))
            if self.folded.config.sink and mean:
                terms.append((mean, f"{look}.sum(-1)"))
            else:
                constant += mean
        for head in set(range(self.folded.config.n_head)) - set(heads):
            constant += self.values(layer, head, write)[1]
        text = self.digits.total(terms, constant)
        return text if terms or self.folded.only_last(write) else f"np.full(n, {text})"

    def write(self) -> None:
        """Write all statements up to the answers."""
        for layer in range(self.folded.config.n_layer):
            self.attention(layer)
            self.mlp(layer)
