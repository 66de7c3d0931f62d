"""Where a circuit meets text: the tokens that it is given, the answers it is asked for.

Which channels of the residual the prompts' tokens write to, which of them kept nodes
write and read, and what these channels say to the answers.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits import edges
from sparsetx.circuits.arrays import Arrays
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.parts import Channel, Input, Output

TOKENS = 24  # of the prompts, and of the answers, that are listed
READS = (*edges.READS, nodes.FINAL)


class Prompts(Protocol):
    """Pairs, or a Question: what is to be known of a task."""

    @property
    def tokens_BL(self) -> Any: ...
    @property
    def position_B(self) -> Any: ...
    @property
    def answers_B2(self) -> Any: ...


def channels(own: Arrays, asked: Prompts) -> Iterator[Channel]:
    """Those that a kept node writes or reads."""
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
    """The tokens that decide, and the most frequent ones."""
    read = sum(own.keep[site].sum(0) for site in edges.READS)
    heard = np.flatnonzero(read[: own.config.d_model]).tolist()
    rows = real(asked)
    many = Counter(token for row in rows for token in row)
    decides = deciding(rows)
    order = sorted(many, key=lambda t: (t not in decides, -many[t], t))
    for token in order[:TOKENS]:
        weights = tuple(
            (c, float(own.embed_VD[token, c])) for c in heard if own.embed_VD[token, c]
        )
        yield Input(token, many[token], token in decides, weights)


def outputs(own: Arrays, asked: Prompts) -> Iterator[Output]:
    """What channels that kept nodes write say to the answers."""
    heard = sum(own.keep[site].sum(0) for site in edges.WRITES) > 0
    if nodes.FINAL in own.keep:
        heard &= own.keep[nodes.FINAL]
    answers = Counter(np.asarray(asked.answers_B2).ravel().tolist()).most_common(TOKENS)
    for channel in np.flatnonzero(heard).tolist():
        for token, _ in answers:
            weight = float(own.unembed_DV[channel, token])
            if weight:
                yield Output(channel, token, weight)


def starts(own: Arrays, asked: Prompts) -> set[str]:
    """Reads in whose channels the prompts' tokens, or their positions, differ."""
    rows = own.embed_VD[sorted({token for row in real(asked) for token in row})]
    told = set(np.flatnonzero((rows != rows[:1]).any(0)).tolist())
    told |= {c.index for c in channels(own, asked) if c.position}
    return {name_of(n) for n in own.kept if n.site in edges.READS and n.index in told}


def ends(own: Arrays, asked: Prompts) -> set[str]:
    """Nodes that the answers are read off."""
    said = {output.channel for output in outputs(own, asked)}
    last = (nodes.FINAL,) if nodes.FINAL in own.keep else edges.WRITES
    return {name_of(n) for n in own.kept if n.site in last and n.index in said}


def real(asked: Prompts) -> list[list[int]]:
    """Each prompt's tokens, without padding."""
    rows: npt.NDArray[np.integer] = np.asarray(asked.tokens_BL)
    ends_B = np.asarray(asked.position_B)
    return [row[: end + 1].tolist() for row, end in zip(rows, ends_B, strict=True)]


def deciding(rows: list[list[int]]) -> set[int]:
    """Tokens by which the two prompts of pairs differ: place by place where they are
    equally long, else those that one of them has more often."""
    found: set[int] = set()
    for a, b in zip(rows[::2], rows[1::2], strict=True):
        if len(a) == len(b):
            apart = [pair for pair in zip(a, b, strict=True) if pair[0] != pair[1]]
            found |= {token for pair in apart for token in pair}
        else:
            more, less = Counter(a), Counter(b)
            found |= set(more - less) | set(less - more)
    return found
