"""Control: the same search from other seeds: how many find a circuit, of which size,
and with how many nodes of this one?"""

from collections.abc import Callable

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry, not_run
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.controls.repeated_search import Result, Searches
from sparsetx.circuits.search import cutting

SEEDS = 20
FIRST_SEED = 10_001  # no search uses seeds as large for its own settings


def seeds(evidence: Evidence, kept: Searches, count: int) -> Entry:
    if evidence.search.rank in cutting.SCORES:
        return not_run(
            thresholds.SEEDS,
            "The circuit was found by attribution, which uses no seed.",
        )
    found = []
    for number in range(count):
        name = f"{evidence.name}, seed {number + 1} of {count}"
        seed = FIRST_SEED + number
        found.append(
            kept.once(f"{thresholds.SEEDS}/{seed}", _seeded(evidence, kept, seed, name))
        )
    reached = [one for one in found if one["reached"]]
    share = len(reached) / max(count, 1)
    own = nodes.flatten(evidence.config, evidence.keep, evidence.sites) > 0
    alike = [_jaccard(set(np.flatnonzero(own)), set(one["kept"])) for one in reached]
    median = float(np.median(alike)) if alike else 0.0
    size = float(np.median([one["edges_plus"] for one in reached])) if reached else None
    verdict = thresholds.worst(
        thresholds.REACHED.verdict(share) if evidence.reached else thresholds.FAIL,
        thresholds.ALIKE.verdict(median),
    )
    return Entry(
        thresholds.SEEDS,
        verdict,
        f"{len(reached)} of {count} seeds find a circuit that reaches the target; the "
        f"median Jaccard index of their nodes and this circuit's is {median:.2f}.",
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
