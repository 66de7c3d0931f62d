"""Check tasks: how often the corpus contains them, and whether shortcuts solve them.

A model can only learn a circuit for behaviour that its data contains: the paper chose
its tasks from common code. `rates` counts each side's construct per 10 000 tokens.

Three classifiers that ignore the program's structure (`bigram`, `ends`, `bag`) are
fitted on one pool of pairs and tested on another: they measure what a circuit could
learn instead of the task. Each returns, per prompt, whether it preferred the right
answer: 1, 0, or ½ where it has no preference.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from sparsetx.tasks.pairs import Pairs, Tokenizer
from sparsetx.tasks.task import Task

PER = 10_000  # tokens
Hits = npt.NDArray[np.float64]
Keys = Callable[[list[int]], Sequence[Hashable]]


def _prompts(pairs: Pairs) -> list[list[int]]:
    ends = pairs.position_B + 1
    return [row[:end].tolist() for row, end in zip(pairs.tokens_BL, ends, strict=True)]


def _answers(pairs: Pairs) -> list[tuple[int, int]]:
    """(right, wrong) of each prompt; in a one-token contrast the missing one is -1."""
    answers = [(int(right), int(wrong)) for right, wrong in pairs.answers_B2]
    if pairs.one_token:
        answers = [
            (t, -1) if sign > 0 else (-1, t)
            for (t, _), sign in zip(answers, pairs.sign_B, strict=True)
        ]
    return answers


def _back_off(fit: Pairs, trial: Pairs, keys: Keys) -> Hits:
    """Predicts by counts of answers per key; the first unequal ones decide."""
    seen: defaultdict[Hashable, Counter[int]] = defaultdict(Counter)
    for ids, (right, _) in zip(_prompts(fit), _answers(fit), strict=True):
        for key in keys(ids):
            seen[key][right] += 1
    hits = []
    for ids, (right, wrong) in zip(_prompts(trial), _answers(trial), strict=True):
        votes = [seen[key] for key in keys(ids) if key in seen]
        margins = [vote[right] - vote[wrong] for vote in votes]
        hits.append(next((float(m > 0) for m in margins if m), 0.5))
    return np.array(hits)


def bigram(fit: Pairs, trial: Pairs) -> Hits:
    """Predicts from the last token alone."""
    return _back_off(fit, trial, lambda ids: [("last", ids[-1])])


def ends(fit: Pairs, trial: Pairs) -> Hits:
    """Predicts from length and last two tokens; if new, from the two; then length."""

    def keys(ids: list[int]) -> list[Hashable]:
        two = (ids[-2], ids[-1])
        return [("all", len(ids), two), ("two", two), ("length", len(ids))]

    return _back_off(fit, trial, keys)


class Bag:
    """Logistic regression on how often each token occurs in the prompt.

    One more column, for tasks whose answers are names: how much more often one
    candidate occurs than the other. `presence`: only whether a token occurs counts.
    """

    def __init__(self, fit: Pairs, presence: bool = False, decay: float = 1e-3):
        self.presence = presence
        tokens = sorted({token for ids in _prompts(fit) for token in ids})
        self.column = {token: i for i, token in enumerate(tokens)}
        x, larger = self._table(fit)
        self.mean, spread = x.mean(0), x.std(0)
        self.scale = np.where(spread > 1e-9, spread, np.inf)
        self.weight = _logistic((x - self.mean) / self.scale, larger, decay)

    def _table(self, pairs: Pairs) -> tuple[Hits, npt.NDArray[np.bool_]]:
        """Features of every prompt, and whether the larger of the two ids is right."""
        prompts, answers = _prompts(pairs), _answers(pairs)
        x = np.zeros((len(prompts), len(self.column) + 1))
        for row, ids, pair in zip(x, prompts, answers, strict=True):
            for token in ids:
                if token in self.column:
                    row[self.column[token]] += 1
            row[-1] = ids.count(max(pair)) - ids.count(min(pair))
        if self.presence:
            x = np.sign(x)
        return x, np.array([right > wrong for right, wrong in answers])

    def __call__(self, trial: Pairs) -> Hits:
        x, larger = self._table(trial)
        score = ((x - self.mean) / self.scale) @ self.weight[:-1] + self.weight[-1]
        hits = np.where(larger, score > 0, score < 0).astype(float)
        return np.where(np.abs(score) < 1e-9, 0.5, hits)


def bag(fit: Pairs, trial: Pairs, presence: bool = False) -> Hits:
    return Bag(fit, presence)(trial)


def _logistic(x: Hits, larger: npt.NDArray[np.bool_], decay: float) -> Hits:
    """Ridge-penalised logistic regression by Newton's method, about eight steps."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    weight = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], decay * len(x))
    penalty[-1] = 1e-6
    for _ in range(20):
        p = 1 / (1 + np.exp(-np.clip(x @ weight, -30, 30)))
        gradient = x.T @ (p - larger) + penalty * weight
        curve = (x * (p * (1 - p) + 1e-6)[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, gradient)
        weight -= step
        if np.abs(step).max() < 1e-6:
            break
    return weight


def rates(
    tasks: Iterable[Task], texts: Iterable[str], tokenizer: Tokenizer
) -> dict[str, tuple[float, float]]:
    """{task: occurrences of A's and of B's construct per 10 000 tokens}."""
    patterns = {
        task.name: tuple(re.compile(p, re.MULTILINE) for p in task.construct)
        for task in tasks
    }
    found = {name: [0, 0] for name in patterns}
    tokens = 0
    for text in texts:
        tokens += len(tokenizer.encode(text)) + 1  # `<eot>` ends every document
        for name, pair in patterns.items():
            for side, pattern in enumerate(pair):
                found[name][side] += sum(1 for _ in pattern.finditer(text))
    scale = PER / max(tokens, 1)
    return {name: (a * scale, b * scale) for name, (a, b) in found.items()}
