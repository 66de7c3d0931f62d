"""Collect all data of a report page as one JSON document, whose format this is:

version      of this format
title, maker, kinds (of links, in words)
models       columns of every comparison: name, kind, loss, reached, tasks
comparison   sizes task by task, and their ratios to the first model's
tasks        {name: what it asks, its contrast, the shortcut that it excludes}
texts        rows of running text, to which the contexts of nodes refer
circuits     id, task, model, kind (plain, honest, faithful), status, size, test,
             val, scale, search, curve and history as in circuit.json; d_head; ladder;
             controls (None: not run); example (a pair's tokens and answers); graph
             (drawn_graph.py); prompts (token_steps.py); mechanism: sentences, each
             with its nodes (mechanism.py); story: its scenes (story.py); groups:
             boxes, each with its nodes, and arrows between them (supernodes);
             detail: whether it can be explored
             or is only compared; run: what the engine needs (page_model.py); missing,
             no_prompts: why something is not there
engine       the first model, its weights and tokenizer; or why they are absent
sites        {site: [layers, width]} of the first model
label, note  of a node, a box or a prompt: a reader's own (notes.py)
members      of a box: nodes that a reader chose for it (edited_groups.py)

The first model's circuits can be explored, those of the others are only compared.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparsetx
from sparsetx import nodes
from sparsetx.circuits import circuit
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain import ablation_costs, explanation
from sparsetx.circuits.explain.explanation import Explanation
from sparsetx.circuits.explain.node_statistics import NodeStatistics, Sample
from sparsetx.circuits.facts import REACHED, Facts, ladder
from sparsetx.circuits.report.page_data import (
    drawn_graph,
    model_comparison,
    page_model,
    story,
    text_contexts,
    token_steps,
)
from sparsetx.circuits.report.runs_and_circuits import Cut, Subject
from sparsetx.circuits.search import pools
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.run import TOKENIZER
from sparsetx.system import fields, files
from sparsetx.system.cpu import processes as work
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress, Reporter, silent
from sparsetx.tasks import table

VERSION = 1
CONTROLS = "controls.json"
SHOWN = ("name", "verdict", "words", "figure", "baseline")


@dataclass(frozen=True)
class Wishes:
    """`task_file`: pairs of a user's own task. `measured`: whether ablation costs and
    interchange effects are measured. `text`: running text of the run."""

    task_file: files.PathLike | None = None
    measured: bool = True
    text: text_contexts.Text | None = None


def payload(
    subjects: Sequence[Subject],
    wishes: Wishes | None = None,
    report: Reporter = silent,
    processes: int = 1,
) -> dict[str, Any]:
    """`processes`: how many work on circuits at once."""
    wishes = wishes or Wishes()
    text = text_contexts.of_run(subjects[0].run)
    wishes = dataclasses.replace(wishes, text=text)
    runs = dict.fromkeys(s.run.name for s in subjects)
    own = [(i, s, cut) for i, s in enumerate(subjects) for cut in s.cuts]
    entries = work.each(
        functools.partial(_entry, wishes), own, processes,
        lambda done: report(Progress("drawn", done, len(own), "circuits", {})),
    )  # fmt: skip
    return {
        "version": VERSION,
        "title": "Circuits of " + ", ".join(runs),
        "maker": f"sparsetx {sparsetx.__version__}",
        "kinds": drawn_graph.KINDS,
        "models": model_comparison.models(subjects),
        "comparison": list(model_comparison.comparison(subjects)),
        "tasks": {
            name: _asks(name) for name in dict.fromkeys(c.facts.task for *_, c in own)
        },
        "texts": _texts(text, subjects[0]),
        "circuits": entries,
        "engine": _engine(subjects[0], entries, text),
        "sites": _sites(subjects[0]),
    }


def _engine(
    subject: Subject,
    entries: list[dict[str, Any]],
    text: text_contexts.Text | None,
) -> dict[str, Any] | None:
    """The first model, if prompts of a circuit of it are shown."""
    cuts = (cut for cut in subject.cuts if cut.facts.status == REACHED)
    shown = [entry["prompts"]["pairs"] for entry in entries if entry["prompts"]]
    asks = [pair["asks"] for pairs in shown for pair in pairs]
    if not asks or (cut := next(cuts, None)) is None:
        return None
    found = circuit.load_circuit(cut.folder)
    ends = [token for ask in asks for token in ask["ends"]]
    inside = [token for ask in asks for token in ask["tokens"]]
    often: list[int] = []
    if text is not None:
        counts = np.bincount(text.tokens_BL.ravel(), minlength=found.config.vocab_size)
        often = np.argsort(-counts, kind="stable").tolist()
    return page_model.of(
        found.config, found.params, Tokenizer.load(subject.run / TOKENIZER),
        first=[*ends, *inside, *often],
        answers=[ask[side] for ask in asks for side in "ab"],
    )  # fmt: skip


def _sites(subject: Subject) -> dict[str, list[int]]:
    config = subject.cuts[0].facts.model.config
    return {site: list(shape) for site, shape in nodes.shapes(config).items()}


def _asks(name: str) -> dict[str, str]:
    if name not in table.TASKS:
        return {}
    task = table.TASKS[name]
    return {"asks": task.asks, "contrast": task.contrast, "excludes": task.excludes}


def _texts(text: text_contexts.Text | None, subject: Subject) -> dict[str, Any] | None:
    path = subject.run / TOKENIZER
    if text is None or not path.is_file():
        return None
    return text.to_json(Tokenizer.load(path))


def _entry(wishes: Wishes, one: tuple[int, Subject, Cut]) -> dict[str, Any]:
    model, subject, cut = one
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
        "ladder": _ladder(facts),
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
        return entry | {"graph": drawn_graph.small(found)}
    return entry | _detail(cut, found, wishes, entry["ladder"])


def _ladder(facts: Facts) -> list[dict[str, Any]]:
    """The ablations, the mildest first: name, figure, whether the circuit holds."""
    if facts.status != REACHED:
        return []
    return [fields.to_json(rung) for rung in ladder(facts)]


def _unreached(cut: Cut) -> str:
    target = cut.facts.search.target
    if cut.facts.test.whole_loss is not None and cut.facts.status != "not reached":
        return (
            f"The whole model does not do this task: its loss is "
            f"{cut.facts.test.whole_loss:.3f} nats, the target is {target}."
        )
    return f"The search found no circuit with a loss of at most {target} nats."


def _detail(
    cut: Cut, found: Circuit, wishes: Wishes, rungs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The parts of an explored circuit: graph, mechanism, prompts to step through."""
    try:
        file = None if cut.facts.task in table.TASKS else wishes.task_file
        asked = pools.again(cut.folder, cut.facts, file, count=explanation.PAIRS)
    except Refusal as refusal:
        why = f"No prompts can be shown: {refusal}"
        return {"graph": drawn_graph.small(found), "no_prompts": why}
    tokenizer = asked.tokenizer
    pairs = pools.first_of(asked.pairs, explanation.PAIRS, found.config)
    trace = token_steps.traced(found, pairs)
    read = text_contexts.sample(found, wishes.text) if wishes.text else None
    sample = trace.sample(found)
    seen = explanation.of(
        found, pairs, sample, tokenizer.token, read,
        ablation_costs.MOST if wishes.measured else None,
    )  # fmt: skip
    beside = _beside(found, seen, trace, read)
    shown = token_steps.packed(trace, tokenizer)
    for head, look in zip(shown["heads"], seen.looks, strict=True):
        head["says"] = look.text
    return {
        "run": page_model.circuit(found),
        "mechanism": [fields.to_json(step) for step in seen.steps],
        "story": [
            fields.to_json(scene) for scene in story.of(seen, sample, rungs, tokenizer)
        ],
        "groups": {
            "boxes": [fields.to_json(box) for box in seen.groups.boxes],
            "arrows": [fields.to_json(arrow) for arrow in seen.groups.arrows],
        },
        "graph": drawn_graph.whole(seen.graph, tokenizer, beside),
        "prompts": shown,
        "example": {
            side: {key: shown["pairs"][0][side][key] for key in ("tokens", "answer")}
            for side in ("a", "b")
        },
    }


def _beside(
    found: Circuit, seen: Explanation, trace: token_steps.Trace, read: Sample | None
) -> dict[str, dict[str, Any]]:
    """What is told of each node besides its weights and costs."""
    each = text_contexts.each_of(len(found.nodes))
    return {
        name_of(node): {
            "title": seen.told[node].title or None,
            "auc": _aucs(seen.told[node].statistics),
            "classes": own,
            "contexts": text_contexts.of_node(read.values[node], each)
            if read
            else None,
        }
        for node, own in zip(found.nodes, token_steps.classes(trace), strict=True)
    }


def _aucs(of: NodeStatistics) -> list[float]:
    """How well a node tells A from B: where they differ, and at the last token."""
    return [round(max(x, 1 - x), 2) for x in (of.tells, of.end_tells)]


def controls(cut: Cut) -> list[dict[str, Any]] | None:
    """The verdicts of the circuit's controls; None where none were run."""
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
