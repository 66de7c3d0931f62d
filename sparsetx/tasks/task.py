"""Task: the definition of a behaviour that a circuit is searched for.

As in the paper, a task is two prompts that differ only in what decides the next token,
and two candidates for it. It is defined by templates in three disjoint pools, and names
the shortcut that its distractors mislead.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sparsetx.tasks.template import split_templates

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """`asks`: what is to be done, in a sentence; `contrast`: both prompts in short;
    `excludes`: the nearest wrong algorithm, and how distractors mislead it.

    construct: for each side a regular expression that finds it in a corpus.
    aligned: both prompts have the same number of tokens, so that positions correspond
        and length tells nothing.
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
    """The three pools of templates, each a text whose templates `---` separates."""
    blocks = dict(zip(SPLITS, (train, val, test), strict=True))
    return {split: split_templates(block) for split, block in blocks.items()}
