"""Three classifiers that know nothing of programs, fitted on one pool of pairs.

What they can tell of another pool, a circuit could have learned instead of the task.
Each returns, per prompt, whether it preferred the right candidate: 1, 0, or ½ where it
could not say.
"""

from collections import Counter, defaultdict

import numpy as np

from sparsetx.tasks.pairs import Pairs


def _prompts(pairs: Pairs) -> list[list[int]]:
    ends = pairs.position_B + 1
    return [row[:end].tolist() for row, end in zip(pairs.tokens_BL, ends, strict=True)]


def _answers(pairs: Pairs) -> list[tuple[int, int]]:
    """(right, wrong); in a one-token contrast the missing candidate is -1."""
    answers = [(int(right), int(wrong)) for right, wrong in pairs.answers_B2]
    if pairs.one_token:
        answers = [
            (t, -1) if sign > 0 else (-1, t)
            for (t, _), sign in zip(answers, pairs.sign_B, strict=True)
        ]
    return answers


def _back_off(train: Pairs, test: Pairs, keys) -> np.ndarray:
    """Counts of answers per key; the first key that says something decides."""
    seen = defaultdict(Counter)
    for ids, (right, _) in zip(_prompts(train), _answers(train), strict=True):
        for key in keys(ids):
            seen[key][right] += 1
    hits = []
    for ids, (right, wrong) in zip(_prompts(test), _answers(test), strict=True):
        votes = (seen[key] for key in keys(ids) if key in seen)
        margin = next(
            (v[right] - v[wrong] for v in votes if v[right] != v[wrong]), 0
        )
        hits.append((np.sign(margin) + 1) / 2)
    return np.array(hits)


def bigram(train: Pairs, test: Pairs) -> np.ndarray:
    """The last token, alone."""
    return _back_off(train, test, lambda ids: [("last", ids[-1])])


def ends(train: Pairs, test: Pairs) -> np.ndarray:
    """Length and the last two tokens together; else the two; else the length."""
    return _back_off(
        train,
        test,
        lambda ids: [
            ("all", len(ids), ids[-2], ids[-1]),
            ("two", ids[-2], ids[-1]),
            ("length", len(ids)),
        ],
    )


def _bag(ids: list[int], answers: tuple[int, int], columns: dict, kind: str):
    """Counts, or presence, of the tokens that the fitted pool holds.

    Also how often each candidate itself stands in the prompt, for the tasks whose
    answers are names.
    """
    row = np.zeros(len(columns) + 1)
    for token in ids:
        if token in columns:
            row[columns[token]] += 1
    if kind == "presence":
        row = np.minimum(row, 1)
    low, high = sorted(answers)
    row[-1] = ids.count(high) - ids.count(low)
    return row


def bag(train: Pairs, test: Pairs, kind: str = "counts", decay: float = 1e-3):
    """Logistic regression on the bag of tokens; the larger candidate is class 1."""
    prompts, answers = _prompts(train), _answers(train)
    columns = {t: i for i, t in enumerate(sorted({t for p in prompts for t in p}))}
    x = np.stack([_bag(p, a, columns, kind) for p, a in zip(prompts, answers)])
    y = np.array([right > wrong for right, wrong in answers], float)
    mean = x.mean(0)
    scale = x.std(0) + 1e-6
    scale[x.std(0) < 1e-9] = np.inf
    x = (x - mean) / scale
    w = _fit(x, y, decay)
    prompts, answers = _prompts(test), _answers(test)
    x = np.stack([_bag(p, a, columns, kind) for p, a in zip(prompts, answers)])
    score = ((x - mean) / scale) @ w[:-1] + w[-1]
    right = np.array([right > wrong for right, wrong in answers])
    score = np.where(np.abs(score) < 1e-9, 0, score)
    return (np.sign(score) * np.where(right, 1, -1) + 1) / 2


def _fit(x: np.ndarray, y: np.ndarray, decay: float) -> np.ndarray:
    """Newton's method: a dozen steps reach the optimum of a ridge-penalised fit."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    w = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], decay * len(x))
    penalty[-1] = 1e-6
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - y) + penalty * w
        curve = (x * (p * (1 - p) + 1e-6)[:, None]).T @ x + np.diag(penalty)
        w -= np.linalg.solve(curve, gradient)
    return w
