"""Everything that a page shows, as one JSON document: this file is its format.

version      of this format
title, maker, limits (of H: honest, weak), kinds (of links, in words)
models       columns of every comparison: name, kind, loss, reached, tasks
comparison   sizes task by task, and their ratios to the first model's
tasks        {name: what it asks, its contrast, the shortcut that it excludes}
texts        rows of running text, in which contexts of nodes are places
circuits     id, task, model, kind (plain or honest), status, size, test, val, scale,
             search, curve and history as in circuit.json; d_head; controls (None: not
             run); example (a pair's tokens and answers); graph (network.py); prompts
             (prompts.py); account, what it does in sentences, each with its nodes
             (account.py); detail, whether it can be explored or is only compared;
             missing and no_prompts say why something is not there

The first model's circuits are explored, those of the others stand beside them.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sparsetx
from sparsetx import fields, files, metrics
from sparsetx.circuits import circuit, effects, portrait
from sparsetx.circuits import prompts as pools
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.drive import Drive
from sparsetx.circuits.facts import REACHED
from sparsetx.circuits.report import compare, contexts, network, prompts
from sparsetx.circuits.report.gather import Cut, Subject
from sparsetx.errors import Refusal
from sparsetx.metrics import Progress, Reporter
from sparsetx.run import TOKENIZER
from sparsetx.tasks import table
from sparsetx.tokenizer import Tokenizer

VERSION = 1
HONEST, WEAK = 0.15, 0.30  # nats of H
CONTROLS = "controls.json"
SHOWN = ("name", "verdict", "words", "figure", "baseline")


@dataclass(frozen=True)
class Wishes:
    """`task_file`: pairs of a user's own task. `measured`: whether what every node and
    edge is worth is found, by running the model without it. `text`: of the run."""

    task_file: files.PathLike | None = None
    measured: bool = True
    text: contexts.Text | None = None


def payload(
    subjects: Sequence[Subject],
    wishes: Wishes | None = None,
    report: Reporter = metrics.silent,
) -> dict[str, Any]:
    wishes = wishes or Wishes()
    text = contexts.of_run(subjects[0].run)
    wishes = dataclasses.replace(wishes, text=text)
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
        "texts": _texts(text, subjects[0]),
        "circuits": entries,
    }


def _asks(name: str) -> dict[str, str]:
    if name not in table.TASKS:
        return {}
    task = table.TASKS[name]
    return {"asks": task.asks, "contrast": task.contrast, "excludes": task.excludes}


def _texts(text: contexts.Text | None, subject: Subject) -> dict[str, Any] | None:
    path = subject.run / TOKENIZER
    if text is None or not path.is_file():
        return None
    return text.to_json(Tokenizer.load(path))


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
        file = None if cut.facts.task in table.TASKS else wishes.task_file
        asked = pools.of(cut.folder, cut.facts, file, count=portrait.PAIRS)
    except Refusal as refusal:
        why = f"No prompts can be shown: {refusal}"
        return {"graph": network.small(found), "no_prompts": why}
    tokenizer = asked.tokenizer
    pairs = pools.first_of(asked.pairs, portrait.PAIRS, found.config)
    trace = prompts.traced(found, pairs)
    read = contexts.sample(found, wishes.text) if wishes.text else None
    seen = portrait.of(
        found, pairs, trace.sample(found), tokenizer.token, read,
        effects.MOST if wishes.measured else None,
    )  # fmt: skip
    each = contexts.each_of(len(found.nodes))
    beside: dict[str, dict[str, Any]] = {
        name_of(node): {
            "title": seen.told[node].title or None,
            "auc": _aucs(seen.told[node].drive),
            "classes": own,
            "contexts": contexts.of_node(read.values[node], each) if read else None,
        }
        for node, own in zip(found.nodes, prompts.classes(trace), strict=True)
    }
    shown = prompts.packed(trace, tokenizer)
    for head, look in zip(shown["heads"], seen.looks, strict=True):
        head["says"] = look.text
    return {
        "account": [fields.to_json(step) for step in seen.steps],
        "graph": network.whole(seen.graph, tokenizer, beside),
        "prompts": shown,
        "example": {
            side: {key: shown["pairs"][0][side][key] for key in ("tokens", "answer")}
            for side in ("a", "b")
        },
    }


def _aucs(drive: Drive) -> list[float]:
    """How well a node tells A from B: where they differ, and at the last token."""
    return [round(max(x, 1 - x), 2) for x in (drive.tells, drive.end_tells)]


def controls(cut: Cut) -> list[dict[str, Any]] | None:
    """What was said against the circuit; None where nobody asked."""
    path = cut.folder / CONTROLS
    if not path.is_file():
        return None
    told = files.read_json(path, "a circuit's controls")
    entries = told.get("controls") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        raise Refusal(
            f"wanted a circuit's controls at {path}: it holds no list of them"
        )
    return [{key: entry.get(key) for key in SHOWN} for entry in entries]
