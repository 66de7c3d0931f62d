"""The two ends of a circuit's graph: the prompts' tokens, and the answers.

Which channels of the residual the tokens are embedded in, which of them kept nodes
write and read, and with what weights the answers are read from them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.circuit_arrays import Arrays
from sparsetx.circuits.explain.graph_parts import Channel, Input, Output
from sparsetx.circuits.measure import edges

TOKENS = 24  # that are listed, of the prompts and of the answers
READS = (*edges.READS, nodes.FINAL)


class Prompts(Protocol):
    """Pairs, or a Question: the fields of them that are used here."""

    @property
    def tokens_BL(self) -> Any: ...
    @property
    def position_B(self) -> Any: ...
    @property
    def answers_B2(self) -> Any: ...


def channels(own: Arrays, asked: Prompts) -> Iterator[Channel]:
    """Residual channels that a kept node writes or reads."""
    longest = int(np.max(asked.position_B)) + 1
    writes: dict[int, list[str]] = {}
    reads: dict[int, list[str]] = {}
    for node in own.kept:
        if node.site in edges.WRITES:
            writes.setdefault(node.index, []).append(name_of(node))
        elif node.site in READS:
            reads.setdefault(node.index, []).append(name_of(node))
    for index in sorted(writes.keys() | reads.keys()):
        beside = index - (own.config.d_model if own.config.d_pos else 0)
        spread = None
        if own.positions is not None and index in reads and beside >= 0:
            spread = float(own.positions[:longest, beside].std())
        written, read = (tuple(found.get(index, ())) for found in (writes, reads))
        yield Channel(index, written, read, spread)


def inputs(own: Arrays, asked: Prompts) -> Iterator[Input]:
    """Tokens of the prompts: those that decide first, then the most frequent ones."""
    read = sum(own.keep[site].sum(0) for site in edges.READS)
    read_channels = np.flatnonzero(read[: own.config.d_model]).tolist()
    rows = real(asked)
    many = Counter(token for row in rows for token in row)
    decides = deciding(rows)
    order = sorted(many, key=lambda t: (t not in decides, -many[t], t))
    for token in order[:TOKENS]:
        weights = tuple(
            (c, float(own.embed_VD[token, c]))
            for c in read_channels
            if own.embed_VD[token, c]
        )
        yield Input(token, many[token], token in decides, weights)


def outputs(own: Arrays, asked: Prompts) -> Iterator[Output]:
    """Unembedding weights from the channels that kept nodes write to the answers."""
    written = sum(own.keep[site].sum(0) for site in edges.WRITES) > 0
    if nodes.FINAL in own.keep:
        written &= own.keep[nodes.FINAL]
    answers = Counter(np.asarray(asked.answers_B2).ravel().tolist()).most_common(TOKENS)
    for channel in np.flatnonzero(written).tolist():
        for token, _ in answers:
            weight = float(own.unembed_DV[channel, token])
            if weight:
                yield Output(channel, token, weight)


def starts(own: Arrays, asked: Prompts) -> set[str]:
    """Reads of channels in which the prompts' tokens, or their positions, differ."""
    rows = own.embed_VD[sorted({token for row in real(asked) for token in row})]
    varying = set(np.flatnonzero((rows != rows[:1]).any(0)).tolist())
    varying |= {c.index for c in channels(own, asked) if c.position}
    return {
        name_of(n) for n in own.kept if n.site in edges.READS and n.index in varying
    }


def ends(own: Arrays, asked: Prompts) -> set[str]:
    """Nodes that the answers are read from."""
    read = {output.channel for output in outputs(own, asked)}
    last = (nodes.FINAL,) if nodes.FINAL in own.keep else edges.WRITES
    return {name_of(n) for n in own.kept if n.site in last and n.index in read}


def real(asked: Prompts) -> list[list[int]]:
    """Each prompt's tokens, without padding."""
    rows: npt.NDArray[np.integer] = np.asarray(asked.tokens_BL)
    ends_B = np.asarray(asked.position_B)
    return [row[: end + 1].tolist() for row, end in zip(rows, ends_B, strict=True)]


def deciding(rows: list[list[int]]) -> set[int]:
    """Tokens by which the two prompts of a pair differ: position by position where they
    are equally long, else those that one of them has more often."""
    found: set[int] = set()
    for a, b in zip(rows[::2], rows[1::2], strict=True):
        if len(a) == len(b):
            apart = [pair for pair in zip(a, b, strict=True) if pair[0] != pair[1]]
            found |= {token for pair in apart for token in pair}
        else:
            more, less = Counter(a), Counter(b)
            found |= set(more - less) | set(less - more)
    return found
