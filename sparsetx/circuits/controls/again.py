"""Controls that search again: random weights, a nonsense task, other seeds.

random weights  the same zeros, the values of every matrix dealt anew among its places.
                A redraw that does the task as it stands, as may happen where a model
                has few weights, is no control: another is drawn
nonsense        the same prompts, but each answer stands for an arbitrary other token
                that the unembedding reaches with as many weights
seeds           the same search from other seeds: how many find a circuit, how large,
                and how much of it is this one's
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes, parameters
from sparsetx.circuits import shuffle
from sparsetx.circuits.assess import Subject
from sparsetx.circuits.controls import searches, table
from sparsetx.circuits.controls.entry import Entry, not_run
from sparsetx.circuits.controls.evidence import Array, Evidence, loss_of
from sparsetx.circuits.controls.searches import Result, Searches
from sparsetx.circuits.search import Task
from sparsetx.errors import Refusal

REDRAWS, SEEDS = 3, 20
TRIES = 5  # of a redraw that does the task by itself
FIRST_SEED = 10_001  # far from those of any search's own settings


def random_weights(evidence: Evidence, kept: Searches, redraws: int) -> Entry:
    if evidence.remeasure is None:
        return not_run(
            table.RANDOM_WEIGHTS, "There is no text to measure a redraw's means on."
        )
    found = []
    for number in range(redraws):
        name = f"{table.RANDOM_WEIGHTS} {number + 1} of {redraws}"
        own = kept.once(
            f"{table.RANDOM_WEIGHTS}/{number}",
            lambda number=number, name=name: _redrawn(  # type: ignore[misc]
                evidence, kept, number, name
            ),
        )
        found.append(own)
    words = "models of the same zeros with weights that say nothing"
    return _compared(evidence, table.RANDOM_WEIGHTS, found, words)


def _redrawn(evidence: Evidence, kept: Searches, number: int, name: str) -> Result:
    assert evidence.remeasure is not None
    for again in range(TRIES):
        seed = number * TRIES + again
        tree = shuffle.shuffled(evidence.config, evidence.params, seed)
        params = jax.tree.map(jnp.asarray, tree)
        other = Subject(evidence.config, params, evidence.means, evidence.keep)
        loss = loss_of(other.whole.margins(evidence.val))
        if loss > evidence.target:
            break
    else:
        return {"reached": False, "skipped": True, "whole loss": loss}
    means = evidence.remeasure(params)
    asked = evidence.on(params, {site: means[site] for site in evidence.sites})
    found = kept.of(asked, evidence.search.seed, f"{evidence.name}, {name}")
    return found | {"redraw": seed, "whole loss": loss}


def nonsense(evidence: Evidence, kept: Searches, redraws: int) -> Entry:
    found = []
    for number in range(redraws):
        name = f"{table.NONSENSE} {number + 1} of {redraws}"

        def search(number: int = number, name: str = name) -> Result:
            other = renamed(evidence, number)
            told = f"{evidence.name}, {name}"
            return kept.of(other, evidence.search.seed, told) | {
                "answers": list(map(int, other.answers))
            }

        found.append(kept.once(f"{table.NONSENSE}/{number}", search))
    if not any(one["reached"] for one in found):
        return Entry(
            table.NONSENSE,
            table.INCONCLUSIVE,
            "No nonsense answers could be reached by a search like the circuit's own.",
            {"ratio": None, "edges+": float(evidence.size.edges_plus)},
            {"smallest edges+": None},
            {"found": _told(found)},
        )
    return _compared(evidence, table.NONSENSE, found, "arbitrary answers")


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
    """Tokens for the true answers: others with no fewer unembedding weights than the
    true one with the fewest, or the true ones in another order where too few are."""
    w_DV = np.asarray(evidence.params[parameters.UNEMBED][parameters.W])
    reach_V = (w_DV != 0).sum(0)
    fit = np.flatnonzero(reach_V >= max(1, reach_V[true].min()))
    fit = fit[~np.isin(fit, true)]
    rng = np.random.default_rng([evidence.search.seed, number])
    if len(fit) < len(true):
        if len(true) == 1:
            raise Refusal("There is no other answer that the unembedding reaches.")
        return np.roll(true, 1)
    return rng.choice(fit, len(true), replace=False)


def seeds(evidence: Evidence, kept: Searches, count: int) -> Entry:
    if evidence.search.rank != "learned":
        return not_run(table.SEEDS, "A ranking by attribution has no seed.")
    found = []
    for number in range(count):
        name = f"{evidence.name}, seed {number + 1} of {count}"
        seed = FIRST_SEED + number
        found.append(
            kept.once(f"{table.SEEDS}/{seed}", _seeded(evidence, kept, seed, name))
        )
    reached = [one for one in found if one["reached"]]
    share = len(reached) / max(count, 1)
    own = nodes.flatten(evidence.config, evidence.keep, evidence.sites) > 0
    alike = [_jaccard(set(np.flatnonzero(own)), set(one["kept"])) for one in reached]
    median = float(np.median(alike)) if alike else 0.0
    size = float(np.median([one["edges_plus"] for one in reached])) if reached else None
    verdict = table.worst(
        table.REACHED.verdict(share) if evidence.reached else table.FAIL,
        table.ALIKE.verdict(median),
    )
    return Entry(
        table.SEEDS,
        verdict,
        f"{len(reached)} of {count} seeds find a circuit at the target; half of them "
        f"share {100 * median:.0f}% of nodes or more with this one.",
        {"share that reaches": share, "median Jaccard": median},
        {"median edges+": size, "this circuit's edges+": evidence.size.edges_plus},
        {
            "edges_plus": [one["edges_plus"] for one in reached],
            "nodes": [one["nodes"] for one in reached],
            "jaccard": alike,
            "not reached": count - len(reached),
        },
    )


def _seeded(
    evidence: Evidence, kept: Searches, seed: int, name: str
) -> Callable[[], Result]:
    return lambda: kept.of(evidence, seed, name)


def _jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / max(len(one | other), 1)


def _compared(
    evidence: Evidence, control: str, found: list[Result], what: str
) -> Entry:
    """This circuit's size beside the smallest that means nothing."""
    size = evidence.size.edges_plus
    least = searches.smallest(found)
    tried = [one for one in found if not one.get("skipped")]
    if not evidence.reached:
        verdict, ratio = table.FAIL, None
        words = "The circuit is not at its target, so that its size says nothing"
    elif not tried:
        verdict, ratio = table.INCONCLUSIVE, None
        words = "Every redraw did the task as it stood, so that none was a control"
    elif least is None:
        verdict, ratio = table.PASS, 0.0
        words = f"{len(tried)} {what} had no circuit that the same search found"
    else:
        ratio = size / max(least["edges_plus"], 1)
        verdict = table.SMALLER.verdict(ratio)
        words = (
            f"It has {size} edges+, the smallest circuit of {len(tried)} {what} "
            f"{least['edges_plus']}"
        )
    return Entry(
        control,
        verdict,
        f"{words}.",
        {"ratio": ratio, "edges+": float(size), "edges": float(evidence.size.edges)},
        {
            "smallest edges+": None if least is None else least["edges_plus"],
            "smallest edges": None if least is None else least["edges"],
        },
        {"found": _told(found)},
    )


def _told(found: list[Result]) -> list[dict[str, Any]]:
    return [{k: x for k, x in one.items() if k != "kept"} for one in found]
