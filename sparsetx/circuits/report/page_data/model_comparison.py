"""Compare models by the sizes of their circuits for the same tasks, as plain data."""

from collections.abc import Iterator, Sequence
from typing import Any

from sparsetx.circuits import size_means
from sparsetx.circuits.facts import KINDS, REACHED, CircuitKind, Facts
from sparsetx.circuits.report.runs_and_circuits import Subject


def models(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    return [
        {
            "name": s.name,
            "kind": s.kind,
            "loss": s.loss,
            "reached": sum(c.facts.status == REACHED for c in s.cuts),
            "tasks": len(s.tasks),
        }
        for s in subjects
    ]


def comparison(subjects: Sequence[Subject]) -> Iterator[dict[str, Any]]:
    """For each kind of circuit: sizes, over the tasks of the first model's circuits."""
    if len(subjects) < 2:
        return
    for name in KINDS:
        rows = _rows(subjects, name)
        if rows:
            yield {
                "name": name,
                "rows": [
                    {
                        "task": task,
                        "sizes": [f.size.edges if f else None for f in found],
                    }
                    for task, found in rows
                ],
                "ratios": list(_ratios([found for _, found in rows])),
            }


def _rows(
    subjects: Sequence[Subject], kind: CircuitKind
) -> list[tuple[str, list[Facts | None]]]:
    """(task, each model's circuit or None where it has none that reaches the target)"""
    rows = []
    for task in subjects[0].tasks:
        cuts = [s.find(task, kind) for s in subjects]
        found = [c.facts if c and size_means.counted([c.facts]) else None for c in cuts]
        if found[0]:
            rows.append((task, found))
    return rows


def _ratios(rows: Sequence[Sequence[Facts | None]]) -> Iterator[dict[str, Any]]:
    """Ratios of each model to the first, over the tasks that both reach."""
    for column in zip(*rows, strict=True):
        both = [
            (own.size, row[0].size)
            for own, row in zip(column, rows, strict=True)
            if own and row[0]
        ]
        told: dict[str, Any] = {"reached": len(both)}
        told |= {"edges": None, "times": None, "pairs": None}
        if both:
            own, first = zip(*both, strict=True)
            edges, pairs = [s.edges for s in own], [s.pairs for s in own]
            told["edges"] = str(size_means.geometric_mean(edges))
            told["times"] = str(size_means.ratio(edges, [s.edges for s in first]))
            told["pairs"] = str(size_means.ratio(pairs, [s.pairs for s in first]))
        yield told
