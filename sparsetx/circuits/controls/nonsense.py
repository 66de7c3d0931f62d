"""Control: the same search for the same prompts with arbitrary answers.

Each answer is replaced by another token with at least as many unembedding weights. If
circuits for these are as small, the size only shows how few weights there are.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from sparsetx.circuits.controls import repeated_search, thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Array, Evidence
from sparsetx.circuits.controls.repeated_search import Result, Searches
from sparsetx.circuits.measure.questions import Task
from sparsetx.model import parameters
from sparsetx.system.errors import Refusal


def nonsense(evidence: Evidence, kept: Searches, redraws: int) -> Entry:
    found = []
    for number in range(redraws):
        name = f"{thresholds.NONSENSE} {number + 1} of {redraws}"

        def search(number: int = number, name: str = name) -> Result:
            other = renamed(evidence, number)
            told = f"{evidence.name}, {name}"
            return kept.of(other, evidence.search.seed, told) | {
                "answers": list(map(int, other.answers))
            }

        found.append(kept.once(f"{thresholds.NONSENSE}/{number}", search))
    if not any(one["reached"] for one in found):
        return Entry(
            thresholds.NONSENSE,
            thresholds.INCONCLUSIVE,
            "The circuit's own search found no circuit for arbitrary answers.",
            {"ratio": None, "edges+": float(evidence.size.edges_plus)},
            {"smallest edges+": None},
            {"found": repeated_search.told(found)},
        )
    return repeated_search.compared(
        evidence, thresholds.NONSENSE, found, "arbitrary answers"
    )


def renamed(evidence: Evidence, number: int) -> Evidence:
    """The same prompts with arbitrary answers, one for each true one."""
    asked = (evidence.train.asked, evidence.val.asked)
    true = np.unique(np.concatenate([np.asarray(q.answers_B2) for q in asked]))
    other = arbitrary(evidence, true, number)
    new = dict(zip(true.tolist(), other.tolist(), strict=True))

    def task(own: Task) -> Task:
        answers = np.vectorize(new.__getitem__)(np.asarray(own.asked.answers_B2))
        changed = dataclasses.replace(
            own.asked, answers_B2=jnp.asarray(answers, jnp.int32)
        )
        return Task(changed, own.scales)

    answers = evidence.answers
    if not float(evidence.train.asked.open):
        answers = sorted(other.tolist())
    return dataclasses.replace(
        evidence,
        train=task(evidence.train),
        val=task(evidence.val),
        answers=answers,
    )


def arbitrary(evidence: Evidence, true: Array, number: int) -> Array:
    """Tokens in place of the true answers: others with no fewer unembedding weights
    than any true one has, or if there are too few, the true ones in another order."""
    w_DV = np.asarray(evidence.params[parameters.UNEMBED][parameters.W])
    reach_V = (w_DV != 0).sum(0)
    fit = np.flatnonzero(reach_V >= max(1, reach_V[true].min()))
    fit = fit[~np.isin(fit, true)]
    rng = np.random.default_rng([evidence.search.seed, number])
    if len(fit) < len(true):
        if len(true) == 1:
            raise Refusal(
                "No other token has as many unembedding weights as the answer."
            )
        return np.roll(true, 1)
    return rng.choice(fit, len(true), replace=False)
