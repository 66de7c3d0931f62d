"""Repeats the circuit's search for the controls that need it, and stores each result.

A search takes minutes, so its result is written at once, and a control that was stopped
continues after the last one. Rounds, batches, target, kind of circuit and code are the
same as in the circuit's own search.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.facts import Search
from sparsetx.circuits.measure import edges
from sparsetx.circuits.search import cutting, lanes
from sparsetx.circuits.search.pruning import Aim, Case, Effort
from sparsetx.system import files

Result = dict[str, Any]


@dataclass
class Searches:
    """Results by name. With `path` None, they are only kept in memory."""

    path: files.PathLike | None = None
    circuit: str = ""  # its hash: results for another circuit are not used
    memory: float | None = None

    def __post_init__(self) -> None:
        self.found: dict[str, Result] = {}
        if self.path is not None and files.place(self.path).is_file():
            told = files.read_json(self.path, "results of searches")
            if isinstance(told, dict) and told.get("circuit") == self.circuit:
                self.found = told["found"]

    def once(self, name: str, search: Callable[[], Result]) -> Result:
        if name not in self.found:
            self.found[name] = search()
            if self.path is not None:
                whole = {"circuit": self.circuit, "found": self.found}
                files.write_json(self.path, whole)
        return self.found[name]

    def forget(self, controls: Sequence[str]) -> None:
        """Drop the results of these controls, so that they search again."""
        mine = [name for name in self.found if name.partition("/")[0] in controls]
        for name in mine:
            del self.found[name]

    def of(self, evidence: Evidence, seed: int, name: str) -> Result:
        """The smallest circuit that the search finds for the task of the evidence."""
        request = cutting.Request(
            aim=dataclasses.replace(aim_of(evidence.search), seed=seed),
            rank=evidence.search.rank,
            memory=self.memory or lanes.memory_here(),
        )
        case = Case(name, evidence.train, evidence.val, evidence.answers)
        (found,) = cutting.searched(
            request, evidence.config, evidence.params, evidence.means, [case],
            evidence.search.kind, evidence.report,
        )  # fmt: skip
        chosen = found.chosen
        mask = nodes.unflatten(
            evidence.config, chosen.mask.astype(np.float32), evidence.sites
        )
        size = edges.size(evidence.config, evidence.pattern, mask)
        return {
            "reached": bool(chosen.reached),
            "nodes": int(size.nodes),
            "edges": int(size.edges),
            "edges_plus": int(size.edges_plus),
            "loss": float(chosen.loss),
            "kept": np.flatnonzero(chosen.mask).tolist(),
        }


def aim_of(search: Search) -> Aim:
    """The aim of the circuit's own search."""
    pairs = [re.fullmatch(r"(\d+) x (\d+)", text) for text in search.rounds]
    rounds = tuple((int(m[1]), int(m[2])) for m in pairs if m)
    effort = Effort(rounds or Effort().rounds, search.pairs, search.finalists)
    return Aim(
        search.target,
        search.honest,
        search.seed,
        search.final,
        search.tied,
        effort,
        search.faithful,
    )


def smallest(results: list[Result]) -> Result | None:
    """Of those that reached the target, the one with the fewest edges+."""
    reached = [one for one in results if one["reached"]]
    return min(reached, key=lambda one: int(one["edges_plus"]), default=None)


def compared(evidence: Evidence, control: str, found: list[Result], what: str) -> Entry:
    """Compare this circuit's size with the smallest found for a null model or task."""
    size = evidence.size.edges_plus
    least = smallest(found)
    tried = [one for one in found if not one.get("skipped")]
    if not evidence.reached:
        verdict, ratio = thresholds.FAIL, None
        words = "The circuit misses its target, so its size cannot be compared"
    elif not tried:
        verdict, ratio = thresholds.INCONCLUSIVE, None
        words = "Every shuffled model did the task without being pruned"
    elif least is None:
        verdict, ratio = thresholds.PASS, 0.0
        words = f"The same search found no circuit for {what} ({len(tried)} tried)"
    else:
        ratio = size / max(least["edges_plus"], 1)
        verdict = thresholds.SMALLER.verdict(ratio)
        words = (
            f"It has {size} edges+; the smallest circuit for {what} "
            f"({len(tried)} tried) has {least['edges_plus']}"
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
        {"found": told(found)},
    )


def told(found: list[Result]) -> list[dict[str, Any]]:
    return [{k: x for k, x in one.items() if k != "kept"} for one in found]
