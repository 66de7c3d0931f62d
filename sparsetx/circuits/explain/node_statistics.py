"""Statistics of a node's activations: by token, by position, by class of the prompt.

Means, fractions of variance explained, and areas under the ROC curve (AUC: how often a
position of one kind has a larger value than one of the other; ties count half). All of
it is NumPy.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsetx.nodes import Node

Values = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


class Labels(NamedTuple):
    """What the positions of a sample that are not padding are told apart by."""

    kinds: npt.NDArray[np.integer]  # of tokens
    token_N: npt.NDArray[np.integer]  # which of them
    before_N: npt.NDArray[np.integer]  # the number of the token before
    place_N: npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Sample:
    """Activations of nodes on some prompts. Rows 2i and 2i + 1 are a pair of a task; in
    a sample of running text (`pairs` is False) they are not."""

    tokens_BL: npt.NDArray[np.integer]
    position_B: npt.NDArray[np.integer]  # of the last real token
    values: Mapping[Node, Values]  # [B, L]
    # {(layer, head): [B, L, L]}
    attention: Mapping[tuple[int, int], Values] = field(default_factory=dict)
    pairs: bool = True

    @functools.cached_property
    def real_BL(self) -> Flags:
        """Positions that are not padding."""
        place_1L = np.arange(self.tokens_BL.shape[1])[None]
        found: Flags = place_1L <= np.asarray(self.position_B)[:, None]
        return found

    @functools.cached_property
    def apart_BL(self) -> Flags:
        """Where a prompt differs from the other prompt of its pair: position by
        position if both are equally long; else, tokens that the other has less often.
        """
        apart = np.zeros(self.tokens_BL.shape, bool)
        if not self.pairs:
            return apart
        for a in range(0, len(self.tokens_BL) - 1, 2):
            rows = [self.tokens_BL[i, : self.position_B[i] + 1] for i in (a, a + 1)]
            if len(rows[0]) == len(rows[1]):
                apart[a : a + 2, : len(rows[0])] = rows[0] != rows[1]
                continue
            for i in (0, 1):
                for token in np.unique(rows[i]):
                    here = rows[i] == token
                    if here.sum() > (rows[1 - i] == token).sum():
                        apart[a + i, : len(here)] |= here
        return apart

    @functools.cached_property
    def labels(self) -> "Labels":
        before_BL = np.roll(self.tokens_BL, 1, 1).astype(np.int64)
        before_BL[:, 0] = -1
        place_BL = np.broadcast_to(
            np.arange(self.tokens_BL.shape[1]), self.tokens_BL.shape
        )
        kinds, token_N = np.unique(self.tokens_BL[self.real_BL], return_inverse=True)
        others = (
            np.unique(x_BL[self.real_BL], return_inverse=True)[1]
            for x_BL in (before_BL, place_BL)
        )
        return Labels(kinds, token_N, *others)

    @property
    def first_B(self) -> Flags:
        """Rows of the first class: the first prompt of each pair."""
        found: Flags = np.arange(len(self.tokens_BL)) % 2 == 0
        return found

    def last(self, node: Node) -> Values:
        """[B]: a node's value where the answer is read."""
        rows = np.arange(len(self.tokens_BL))
        found: Values = self.values[node][rows, self.position_B]
        return found


@dataclass(frozen=True)
class NodeStatistics:
    """Statistics of one node on one sample."""

    mean: float
    rest: float  # the median, its value at most positions
    low: float
    high: float
    by_token: dict[int, tuple[float, int]]  # {token: (mean value, how often it occurs)}
    token_share: float  # fraction of its variance that the token explains
    previous_share: float  # fraction that the token before explains
    place_share: float  # fraction that the position in the prompt explains
    detects: (
        float  # AUC of positions where the prompts of a pair differ, against others
    )
    tells: float  # AUC at these positions, first prompts against second ones
    at_first: float  # its mean there, in first prompts
    at_second: float
    end_tells: float  # AUC at the last token, first prompts against second ones
    end_first: float  # its mean there, in first prompts
    end_second: float


def of(sample: Sample, node: Node) -> NodeStatistics:
    real_BL, apart_BL = sample.real_BL, sample.apart_BL
    value_BL = np.asarray(sample.values[node], np.float64)
    x_N = value_BL[real_BL]
    first_BL = np.broadcast_to(sample.first_B[:, None], real_BL.shape)
    one, other = value_BL[apart_BL & first_BL], value_BL[apart_BL & ~first_BL]
    end_B = np.asarray(sample.last(node), np.float64)
    end_one, end_other = end_B[sample.first_B], end_B[~sample.first_B]
    if not sample.pairs:
        end_one = end_other = end_B[:0]
    labels = sample.labels
    many = np.bincount(labels.token_N)
    mean_of = np.bincount(labels.token_N, x_N) / many
    return NodeStatistics(
        mean=float(x_N.mean()),
        rest=float(np.median(x_N)),
        low=float(x_N.min()),
        high=float(x_N.max()),
        by_token={
            t: (m, n)
            for t, m, n in zip(
                labels.kinds.tolist(), mean_of.tolist(), many.tolist(), strict=True
            )
        },
        token_share=explained(x_N, labels.token_N),
        previous_share=explained(x_N, labels.before_N),
        place_share=explained(x_N, labels.place_N),
        detects=auc(value_BL[apart_BL], value_BL[real_BL & ~apart_BL]),
        tells=auc(one, other),
        at_first=_mean(one),
        at_second=_mean(other),
        end_tells=auc(end_one, end_other),
        end_first=_mean(end_one),
        end_second=_mean(end_other),
    )


def auc(one: Values, other: Values) -> float:
    """How often a value of `one` is above one of `other`; ½ if either is empty."""
    if not len(one) or not len(other):
        return 0.5
    order = np.sort(other)
    below = np.searchsorted(order, one, "left").sum(dtype=np.float64)
    up_to = np.searchsorted(order, one, "right").sum(dtype=np.float64)
    return float((below + up_to) / (2 * len(one) * len(other)))


def explained(x_N: Values, label_N: npt.NDArray[np.integer]) -> float:
    """The fraction of the variance that lies between labels (small numbers from 0 on);
    0 for a constant."""
    total = x_N.var()
    if total <= 1e-12 * max(1.0, float(np.square(x_N).mean())):
        return 0.0
    many = np.bincount(label_N)
    mean_of = np.bincount(label_N, x_N) / np.maximum(many, 1)
    return float((many * np.square(mean_of - x_N.mean())).sum() / len(x_N) / total)


def fired(sample: Sample, node: Node, tokens: set[int]) -> float:
    """AUC of positions with these tokens, against all others."""
    here_BL = np.isin(sample.tokens_BL, sorted(tokens))
    value_BL = sample.values[node]
    real_BL = sample.real_BL
    return auc(value_BL[real_BL & here_BL], value_BL[real_BL & ~here_BL])


def _mean(x: Values) -> float:
    return float(x.mean()) if len(x) else 0.0
