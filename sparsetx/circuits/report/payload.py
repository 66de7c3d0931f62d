"""Everything that a page shows, as one JSON document: this file is its format.

version      of this format
title, maker, limits (of H: honest, weak), kinds (of links, in words)
models       columns of every comparison: name, kind, loss, reached, tasks
comparison   sizes task by task, and their ratios to the first model's
tasks        {name: what it asks, its contrast, the shortcut that it excludes}
circuits     id, task, model, kind (plain or honest), status, size, test, val, scale,
             search, curve and history as in circuit.json; d_head; controls (None: not
             run); example (a pair's tokens and answers); graph (network.py); prompts
             (prompts.py); detail, whether it can be explored or is only compared;
             missing and no_prompts say why something is not there

The first model's circuits are explored, those of the others stand beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sparsetx
from sparsetx import fields, files, metrics
from sparsetx.circuits import circuit, effects, graph, question
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.facts import REACHED
from sparsetx.circuits.report import compare, network, prompts
from sparsetx.circuits.report.gather import Cut, Subject
from sparsetx.errors import Refusal
from sparsetx.metrics import Progress, Reporter
from sparsetx.tasks import table

VERSION = 1
HONEST, WEAK = 0.15, 0.30  # nats of H
CONTROLS = "controls.json"


@dataclass(frozen=True)
class Wishes:
    """`task_file`: pairs of a user's own task. `measured`: whether the model is run, to
    step through prompts and to find what every node and edge is worth."""

    task_file: files.PathLike | None = None
    measured: bool = True


def payload(
    subjects: Sequence[Subject],
    wishes: Wishes | None = None,
    report: Reporter = metrics.silent,
) -> dict[str, Any]:
    wishes = wishes or Wishes()
    runs = dict.fromkeys(s.run.name for s in subjects)
    own = [(i, s, cut) for i, s in enumerate(subjects) for cut in s.cuts]
    entries = []
    for done, (model, subject, cut) in enumerate(own):
        report(Progress("drawn", done, len(own), "circuits", {}))
        entries.append(_entry(model, subject, cut, wishes))
    return {
        "version": VERSION,
        "title": "Circuits of " + ", ".join(runs),
        "maker": f"sparsetx {sparsetx.__version__}",
        "limits": {"honest": HONEST, "weak": WEAK},
        "kinds": network.KINDS,
        "models": compare.models(subjects),
        "comparison": list(compare.comparison(subjects)),
        "tasks": {
            name: _asks(name) for name in dict.fromkeys(c.facts.task for *_, c in own)
        },
        "circuits": entries,
    }


def _asks(name: str) -> dict[str, str]:
    if name not in table.TASKS:
        return {}
    task = table.TASKS[name]
    return {"asks": task.asks, "contrast": task.contrast, "excludes": task.excludes}


def _entry(model: int, subject: Subject, cut: Cut, wishes: Wishes) -> dict[str, Any]:
    facts = cut.facts
    kind = facts.search.kind
    name = f"{facts.task}/{kind}"
    entry: dict[str, Any] = {
        "id": name if model == 0 else f"{subject.name}/{name}",
        "task": facts.task,
        "model": model,
        "kind": kind,
        "status": facts.status,
        "detail": model == 0,
        "d_head": facts.model.config.d_head,
        "size": fields.to_json(facts.size),
        "test": fields.to_json(facts.test),
        "val": fields.to_json(facts.val),
        "scale": facts.calibration.scale,
        "search": fields.to_json(facts.search),
        "curve": fields.to_json(facts.curve),
        "history": fields.to_json(facts.history) if model == 0 else {},
        "controls": controls(cut),
        "graph": None,
        "prompts": None,
        "example": None,
    }
    if facts.status != REACHED:
        return entry | {"missing": _unreached(cut)}
    try:
        found = circuit.load_circuit(cut.folder)
    except Refusal as refusal:
        return entry | {"missing": str(refusal)}
    if model:
        return entry | {"graph": network.small(found)}
    return entry | _detail(cut, found, wishes)


def _unreached(cut: Cut) -> str:
    target = cut.facts.search.target
    if cut.facts.test.whole_loss is not None and cut.facts.status != "not reached":
        return (
            f"The whole model does not do this task: its loss is "
            f"{cut.facts.test.whole_loss:.3f} nats, {target} was wanted."
        )
    return f"The search found no circuit with a loss of at most {target} nats."


def _detail(cut: Cut, found: Circuit, wishes: Wishes) -> dict[str, Any]:
    """What is explored: the graph with all effects, and prompts to step through."""
    try:
        tokenizer = prompts.tokenizer_of(cut)
        pairs = prompts.pairs_of(cut.facts, tokenizer, wishes.task_file)
    except Refusal as refusal:
        why = f"No prompts can be shown: {refusal}"
        return {"graph": network.small(found), "no_prompts": why}
    pairs = prompts.first_of(pairs, prompts.ASKED)
    measured = effects.of(found, question.of(pairs)) if wishes.measured else None
    trace = prompts.traced(found, pairs)
    drawn = graph.of(found, pairs, measured)
    beside = {
        name: {"classes": own}
        for name, own in zip(found.facts.nodes, prompts.classes(trace), strict=True)
        if own
    }
    shown = prompts.packed(trace, tokenizer)
    return {
        "graph": network.whole(drawn, tokenizer, beside),
        "prompts": shown,
        "example": {
            side: {key: shown["pairs"][0][side][key] for key in ("tokens", "answer")}
            for side in ("a", "b")
        },
    }


def controls(cut: Cut) -> list[dict[str, Any]] | None:
    """What was said against the circuit; None where nobody asked."""
    path = cut.folder / CONTROLS
    if not path.is_file():
        return None
    return [dict(entry) for entry in files.read_json(path, "a circuit's controls")]

