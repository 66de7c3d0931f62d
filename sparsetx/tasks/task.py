"""Task: a behaviour small enough that a circuit for it can be read.

The paper prunes one circuit per task: two prompts that differ only in what decides the
next token, and two candidates for it. A task here is its templates, three disjoint
pools of them, with the shortcut that its distractors are there to defeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sparsetx.tasks.template import split_templates

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """`asks` says in a sentence what is to be done; `contrast` shows both prompts;
    `excludes` is the nearest wrong way.

    construct: one regular expression for each side, as it stands in a corpus.
    aligned: both prompts have equally many tokens, so that positions compare and length
        tells nothing.
    one_token: there is no second candidate; A's right answer is "not this token".
    """

    name: str
    asks: str
    contrast: str
    excludes: str
    construct: tuple[str, str]
    templates: Mapping[str, tuple[str, ...]]
    aligned: bool = True
    one_token: bool = False


def pools(train: str, val: str, test: str) -> dict[str, tuple[str, ...]]:
    """The three pools of templates, each a block that dashes divide."""
    blocks = dict(zip(SPLITS, (train, val, test), strict=True))
    return {split: split_templates(block) for split, block in blocks.items()}
