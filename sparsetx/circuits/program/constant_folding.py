"""Constant folding: a circuit with everything that does not vary reduced to numbers.

A *word* is the model's input at one position: the token, or, where positional
embeddings are added to it, the token and its position. What depends on the word alone
is computed here; what depends on kept writes becomes statements (statements.py).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit_arrays import Arrays
from sparsetx.circuits.measure import edges
from sparsetx.circuits.program import numpy_model, topk_rules
from sparsetx.circuits.program.numpy_model import Trace
from sparsetx.circuits.program.topk_rules import Choice, Contest
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.block import NORM_EPS
from sparsetx.nodes import Node

Array = npt.NDArray[np.float64]
Place = tuple[str, int]  # a site that reads the residual, and its layer


@dataclass(frozen=True, eq=False)
class Folded:
    """A circuit, the prompts it is run on, and the words that a program may know."""

    own: Arrays
    rows: list[list[int]]  # prompts, without padding
    traces: list[Trace] = field(repr=False)
    vocabulary: tuple[int, ...] = ()  # known words, if not only those of the prompts
    any_end: bool = False  # any known word may come last

    @property
    def config(self) -> ModelConfig:
        return self.own.config

    @cached_property
    def last_layer(self) -> int:
        """The last layer in which tokens before the last one matter: one with a kept
        write and a kept key or value. -1 if there is none."""
        for layer in reversed(range(self.config.n_layer)):
            writes = self.kept(nodes.ATTN_OUT, layer)
            if writes and any(self.kept(s, layer) for s in (nodes.K, nodes.V)):
                return layer
        return -1

    def kept(self, site: str, layer: int) -> list[Node]:
        return [n for n in self.own.kept if (n.site, n.layer) == (site, layer)]

    def only_last(self, node: Node) -> bool:
        """Whether a node only matters at the last token."""
        if node.layer != self.last_layer:
            return node.layer > self.last_layer
        if node.site == nodes.ATTN_IN:
            return not any(
                w[node.index].any()
                for part, w in self.own.parts(node.layer)
                if part.target in (nodes.K, nodes.V)
            )
        return node.site not in (nodes.K, nodes.V)

    # --- words ---------------------------------------------------------------------

    @property
    def placed(self) -> bool:
        return self.config.positions == "added"

    def words(self, row: Sequence[int]) -> list[Hashable]:
        return list(enumerate(row)) if self.placed else list(row)

    @cached_property
    def everywhere(self) -> list[Hashable]:
        """The words that are known, in a fixed order."""
        if self.vocabulary:
            return list(self.vocabulary)
        found = {w for row in self.rows for w in self.words(row)}
        return sorted(found)  # type: ignore[type-var]

    @cached_property
    def at_the_end(self) -> list[Hashable]:
        """The words that may come last."""
        if self.any_end:
            return self.everywhere
        found = {self.words(row)[-1] for row in self.rows}
        return sorted(found)  # type: ignore[type-var]

    def bases(self, words: Sequence[Any], channels: Any = slice(None)) -> Array:
        """[word, channel]: the embedding of each word, or some channels of it."""
        tokens = [word[1] for word in words] if self.placed else list(words)
        found: Array = self.own.embed_VD[tokens][:, channels].astype(np.float64)
        if self.placed and self.own.positions is not None:
            places = [word[0] for word in words]
            found = found + self.own.positions[places][:, channels]
        return found

    # --- the residual ----------------------------------------------------------------

    def before(self, at: Place) -> list[Place]:
        """Sites that write to the residual before it is read here."""
        found = nodes.writers(self.config, *at)
        return [place for place in found if place[0] in edges.WRITES]

    def constant(self, at: Place) -> Array:
        """[channel]: the sum of ablated writes up to here."""
        total_D = np.zeros(self.config.d_model)
        for site, layer in self.before(at):
            kept_D = self.own.keep[site][layer]
            total_D += np.where(kept_D, 0, self.own.means[site][layer])
        return total_D

    def written(self, at: Place) -> dict[int, list[Node]]:
        """{channel: the kept writes into it up to here}."""
        found: dict[int, list[Node]] = {}
        for site, layer in self.before(at):
            for node in self.kept(site, layer):
                found.setdefault(node.index, []).append(node)
        return dict(sorted(found.items()))

    def rest(self, at: Place, words: Sequence[Any]) -> Array:
        """[word, channel]: the residual; 0 in channels that kept nodes wrote to."""
        x_ND = self.bases(words) + self.constant(at)
        x_ND[:, list(self.written(at))] = 0
        return x_ND

    def read(self, node: Node, word: Any) -> float:
        """The value of a read before any kept write, after AbsTopK; the gain is folded
        into the weights that follow."""
        at = node.site, node.layer
        x_D = self.bases([word])[0] + self.constant(at)
        x_D = x_D / np.sqrt(np.square(x_D).mean() + NORM_EPS)
        count = nodes.active_count(self.config, node.site)
        if count is not None:
            size_D = np.abs(x_D * self.gains(node))
            order = np.argsort(-size_D, kind="stable")[:count]
            if node.index not in order:
                return 0.0
        return float(x_D[node.index])

    def gains(self, node: Node) -> Array:
        name = {
            nodes.ATTN_IN: parameters.ATTN_NORM,
            nodes.MLP_IN: parameters.MLP_NORM,
        }[node.site]
        gain = self.own.params[(parameters.BLOCKS, name, parameters.GAIN)]
        found: Array = gain[node.layer].astype(np.float64)
        return found

    # --- weights and choices -------------------------------------------------------

    def inputs(self, node: Node) -> tuple[list[tuple[float, Node]], float]:
        """The kept nodes that a query, key, value, neuron or MLP write is a weighted
        sum of, gains folded in, and the constant that biases and means add up to."""
        terms, constant = [], self.own.bias(node)
        for part, w in self.own.parts(node.layer):
            if part.target != node.site:
                continue
            for source in np.flatnonzero(w[:, node.index]).tolist():
                other = Node(part.source, node.layer, source)
                weight = float(w[source, node.index])
                if self.own.keep[part.source][node.layer, source]:
                    terms.append((weight * self.own.gain(other), other))
                else:
                    constant += weight * self.own.mean(other)
        return terms, constant

    def out(self, layer: int) -> Array:
        """The attention output matrix: from values to writes."""
        path = (parameters.BLOCKS, parameters.O, parameters.W)
        found: Array = self.own.params[path][layer]
        return found

    def choice(self, node: Node) -> Choice | None:
        """The rule by which AbsTopK keeps a node, at the positions where it matters."""
        if nodes.active_count(self.config, node.site) is None:
            return Choice("always")
        before_NC, chosen_NC, words = self.seen(node)
        first = node.layer == 0 and node.site in (nodes.Q, nodes.K, nodes.V)
        i = node.index
        return topk_rules.rule(before_NC[:, i], chosen_NC[:, i], words, of_word=first)

    def contest(self, node: Node) -> Contest:
        """The channels among which AbsTopK chooses, where no rule describes it."""
        return topk_rules.contest(self.seen(node)[1])

    def seen(self, node: Node) -> tuple[Array, Any, list[Hashable]]:
        """A node's site before AbsTopK, what AbsTopK keeps, and the words, at the
        positions where the node matters."""
        part = slice(-1, None) if self.only_last(node) else slice(None)
        before, chosen, words = [], [], []
        for row, trace in zip(self.rows, self.traces, strict=True):
            before.append(trace.before[node.site][node.layer][part])
            chosen.append(trace.chosen[node.site][node.layer][part])
            words += self.words(row)[part]
        return np.concatenate(before), np.concatenate(chosen), words


def of(own: Arrays, rows: list[list[int]]) -> Folded:
    return Folded(own, rows, [numpy_model.run(own, row) for row in rows])
