"""AbsTopK as a short rule: when is one node among the largest of its site?

The choice is among all channels of a site, most of them no part of a circuit. For a
single kept node it often comes to little: it is always chosen, or never, or whenever
it lies outside some range, or at some words and not at others. A rule is only given
where it is right at every place looked at.

Where there is none, the choice is written out, but only among the channels of the site
that are chosen at some places and not at others: of k that are kept, those that always
are need no comparing, nor do those that never are.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["always", "never", "outside", "words"]


@dataclass(frozen=True)
class Choice:
    kind: Kind
    low: float = 0.0  # of "outside": half way between what was kept and what was not
    high: float = 0.0
    words: frozenset[Hashable] = frozenset()  # of "words": where it is chosen


def rule(
    before_N: npt.NDArray[Any],
    chosen_N: npt.NDArray[np.bool_],
    words_N: Sequence[Hashable],
    of_word: bool,
) -> Choice | None:
    """The rule for one node, from its values before the choice and from whether it was
    chosen, or None. `of_word`: the choice is a function of the word at a place, so that
    a list of words is the rule itself, not an accident of these prompts."""
    if chosen_N.all():
        return Choice("always")
    if not chosen_N.any():
        return Choice("never")
    if of_word:
        kept = {w for w, c in zip(words_N, chosen_N, strict=True) if c}
        lost = {w for w, c in zip(words_N, chosen_N, strict=True) if not c}
        if not kept & lost:
            return Choice("words", words=frozenset(kept))
    return _outside(before_N, chosen_N)


def _outside(
    before_N: npt.NDArray[Any], chosen_N: npt.NDArray[np.bool_]
) -> Choice | None:
    """Chosen below some number and above another; the same but for the sign, if such
    two do."""
    lost_N = before_N[~chosen_N]
    low, high = float(lost_N.min()), float(lost_N.max())
    kept_N = before_N[chosen_N]
    if ((kept_N >= low) & (kept_N <= high)).any():
        return None
    size = float(np.abs(lost_N).max())
    least = float(np.abs(kept_N).min())
    if least > size:
        cut = (least + size) / 2
        return Choice("outside", -cut, cut)
    below, above = kept_N[kept_N < low], kept_N[kept_N > high]
    return Choice(
        "outside",
        (low + float(below.max())) / 2 if len(below) else -np.inf,
        (high + float(above.min())) / 2 if len(above) else np.inf,
    )


@dataclass(frozen=True)
class Contest:
    """The channels of a site that are chosen at times, and how many of them are."""

    channels: tuple[int, ...]
    places: int  # how many of these channels are kept
    always: int
    width: int


def contest(chosen_NC: npt.NDArray[np.bool_]) -> Contest:
    """Of all places looked at, [place, channel]: as many are chosen at each."""
    share_C = chosen_NC.mean(0)
    open_C = np.flatnonzero((share_C > 0) & (share_C < 1))
    always = int((share_C == 1).sum())
    kept = int(chosen_NC[0].sum()) - always
    return Contest(tuple(open_C.tolist()), kept, always, chosen_NC.shape[1])
