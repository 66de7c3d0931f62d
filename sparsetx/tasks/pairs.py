"""Pairs: a task's prompts as token arrays, as searches and reports use them.

A row is `<eot>`, the prompt, and padding with `<eot>`; the answer is read at the last
token of the prompt. A prompt ends where the tokenizer would end a token anyway, so that
encode(prompt + answer + rest) starts with encode(prompt) + [answer]; a pair for which
this fails is not used.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sparsetx.system.errors import Refusal
from sparsetx.tasks.task import SPLITS
from sparsetx.tasks.template import Draft, Side

CONTEXT = 256  # tokens, the paper's


def pool_name(split: str, task: str) -> str:
    """The pool of a split's name: train, val or test; heldout is test."""
    if split not in (*SPLITS, "heldout"):
        raise Refusal(
            f"wanted a pool (train, val, test or heldout) of {task}, got {split!r}"
        )
    return "test" if split == "heldout" else split


class Tokenizer(Protocol):
    """What tasks need of a tokenizer."""

    @property
    def eot(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Pairs:
    """Rows 2i and 2i + 1 are a pair; the right answer of each is the other's wrong one.

    tokens_BL    int32, `<eot>` first and as padding
    position_B   int32, the last real token: where the answer is read
    answers_B2   int32, (right, wrong)
    sign_B       float32. A one-token contrast (`one_token`) has a single candidate t in
                 both columns: its loss is -log p(t) where the sign is +1 and
                 -log(1 - p(t)) where it is -1. Else +1, and the loss is the
                 cross-entropy between the two candidates.
    texts        the B prompts;  drafts  pair i as text, with its completion
    distractor_P whether pair i carries a distractor
    template_P   which of the pool's templates made pair i
    """

    task: str
    split: str
    tokens_BL: npt.NDArray[np.int32]
    position_B: npt.NDArray[np.int32]
    answers_B2: npt.NDArray[np.int32]
    sign_B: npt.NDArray[np.float32]
    drafts: tuple[Draft, ...]
    one_token: bool = False

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.drafts)

    @property
    def texts(self) -> list[str]:
        return [side.prompt for draft in self.drafts for side in (draft.a, draft.b)]

    @property
    def distractor_P(self) -> npt.NDArray[np.bool_]:
        return np.array([draft.distractor for draft in self.drafts], bool)

    @property
    def template_P(self) -> npt.NDArray[np.int32]:
        return np.array([draft.template for draft in self.drafts], np.int32)


@dataclass(frozen=True)
class Encoded:
    """One pair as tokens: both prompts (without `<eot>`) and both answers."""

    draft: Draft
    a: list[int]
    b: list[int]
    answer_a: int
    answer_b: int


class Unfit(Exception):
    """This pair cannot be expressed with this tokenizer; the text says why."""


def _answer(tokenizer: Tokenizer, side: Side) -> tuple[list[int], int]:
    """The prompt's tokens and the single token of its answer."""
    ids = tokenizer.encode(side.prompt)
    whole = tokenizer.encode(side.program)
    alone = tokenizer.encode(side.prompt + side.answer)
    if len(alone) != len(ids) + 1:
        raise Unfit(f"the answer {side.answer!r} is not a single token")
    if whole[: len(alone)] != alone or alone[: len(ids)] != ids:
        raise Unfit(f"the boundary before {side.answer!r} is not a natural one")
    return ids, alone[-1]


def encode(
    tokenizer: Tokenizer,
    draft: Draft,
    *,
    context: int = CONTEXT,
    aligned: bool = False,
    one_token: bool = False,
) -> Encoded:
    """A draft as tokens; raises `Unfit` with the reason if that is impossible."""
    b, answer_b = _answer(tokenizer, draft.b)
    if one_token:
        a, answer_a = tokenizer.encode(draft.a.prompt), answer_b
    else:
        a, answer_a = _answer(tokenizer, draft.a)
        if answer_a == answer_b:
            raise Unfit(f"both answers are the token {draft.a.answer!r}")
    if aligned and len(a) != len(b):
        raise Unfit("the two prompts differ in length, so positions do not compare")
    if 1 + max(len(a), len(b)) > context:
        raise Unfit(f"the prompts exceed the context of {context} tokens")
    return Encoded(draft, a, b, answer_a, answer_b)


def pack(
    task: str, split: str, rows: Sequence[Encoded], eot: int, one_token: bool = False
) -> Pairs:
    """Encoded pairs as one `Pairs`, padded on the right to the longest prompt."""
    prompts = [[eot, *ids] for row in rows for ids in (row.a, row.b)]
    width = max(map(len, prompts))
    tokens_BL = np.full((len(prompts), width), eot, np.int32)
    for row, ids in zip(tokens_BL, prompts, strict=True):
        row[: len(ids)] = ids
    answers = [
        pair
        for row in rows
        for pair in ((row.answer_a, row.answer_b), (row.answer_b, row.answer_a))
    ]
    sign_B = np.ones(len(prompts), np.float32)
    if one_token:
        sign_B[0::2] = -1
    return Pairs(
        task=task,
        split=split,
        tokens_BL=tokens_BL,
        position_B=np.array([len(ids) - 1 for ids in prompts], np.int32),
        answers_B2=np.array(answers, np.int32),
        sign_B=sign_B,
        drafts=tuple(row.draft for row in rows),
        one_token=one_token,
    )


class Sieve:
    """Yields distinct drafts that can be encoded, and counts why others cannot."""

    def __init__(self, tokenizer: Tokenizer, context: int, aligned: bool, one: bool):
        self.tokenizer, self.context = tokenizer, context
        self.aligned, self.one_token = aligned, one
        self.seen: set[tuple[str, str]] = set()
        self.reasons: Counter[str] = Counter()

    def __call__(self, draft: Draft) -> Iterator[Encoded]:
        key = (draft.a.prompt, draft.b.prompt)
        if key in self.seen:
            self.reasons["drawn before"] += 1
            return
        try:
            row = encode(
                self.tokenizer,
                draft,
                context=self.context,
                aligned=self.aligned,
                one_token=self.one_token,
            )
        except Unfit as unfit:
            self.reasons[str(unfit)] += 1
            return
        self.seen.add(key)
        yield row

    def refuse(self, task: str, split: str, wanted: int) -> Refusal:
        """The error if a pool has too few pairs."""
        why = "".join(
            f"\n  - {count} x {reason}" for reason, count in self.reasons.most_common(6)
        )
        return Refusal(
            f"wanted {wanted} distinct pairs of {task}, pool {split}, and found "
            f"{len(self.seen)} with this tokenizer; of the others:{why}\n"
            "Ask for fewer, or use a tokenizer trained on code like tinypython's."
        )
