"""AbsTopK as a short rule: when is one node among the largest of its site?

The choice is among all channels of a site, most of them no part of a circuit. For a
single kept node it often comes to little: it is always chosen, or never, or whenever
its magnitude passes one number, or at some words and not at others. A rule is only
given where it is right at every place looked at.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["always", "never", "above", "words"]


@dataclass(frozen=True)
class Choice:
    kind: Kind
    cut: float = 0.0  # of "above": half way between what was left out and what was not
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
    size_N = np.abs(before_N)
    least, most = float(size_N[chosen_N].min()), float(size_N[~chosen_N].max())
    if least > most:
        return Choice("above", (least + most) / 2)
    return None
