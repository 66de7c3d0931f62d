"""Short rules for when AbsTopK keeps a node.

AbsTopK chooses among all channels of a site, most of them outside the circuit. For a
single kept node a short rule often does: it is always kept, or never, or whenever it
lies outside some range, or at some words and not at others. A rule is only returned if
it is right at every position examined.

Where there is none, the channels are compared, but only those that are kept at some
positions and not at others: channels that are always kept, or never, need no comparing.
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
    low: float = 0.0  # for "outside": half way between values kept and not kept
    high: float = 0.0
    words: frozenset[Hashable] = frozenset()  # for "words": where it is kept


def rule(
    before_N: npt.NDArray[Any],
    chosen_N: npt.NDArray[np.bool_],
    words_N: Sequence[Hashable],
    of_word: bool,
) -> Choice | None:
    """The rule for one node, from its values before AbsTopK and from whether it was
    kept; None if there is none. `of_word`: the choice only depends on the word, so that
    a list of words is a rule and not a coincidence of these prompts."""
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
    """Kept below one limit and above another; of equal size if such limits exist."""
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
    """The channels of a site that AbsTopK keeps at some positions only."""

    channels: tuple[int, ...]
    places: int  # how many of these channels are kept at each position
    always: int  # how many other channels are always kept
    width: int  # channels of the site


def contest(chosen_NC: npt.NDArray[np.bool_]) -> Contest:
    """From what is kept at all positions examined, [position, channel]."""
    share_C = chosen_NC.mean(0)
    open_C = np.flatnonzero((share_C > 0) & (share_C < 1))
    always = int((share_C == 1).sum())
    kept = int(chosen_NC[0].sum()) - always
    return Contest(tuple(open_C.tolist()), kept, always, chosen_NC.shape[1])
