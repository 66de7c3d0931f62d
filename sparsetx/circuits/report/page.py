"""The page: what was cut, how large it is, how much of it survives doubt, and how it
looks. Every text that comes from data is escaped."""

import importlib.resources
from collections.abc import Iterator, Sequence
from html import escape

from sparsetx.circuits import circuit, summary
from sparsetx.circuits.facts import REACHED, Facts
from sparsetx.circuits.report import chart, drawing
from sparsetx.circuits.report.gather import Cut, Subject
from sparsetx.errors import Refusal

KINDS = ((False, "plain"), (True, "honest"))
HONEST, WEAK = 0.15, 0.30  # nats of H (section on doubt)


def page(subjects: Sequence[Subject]) -> str:
    style = importlib.resources.files(__package__).joinpath("page.css").read_text()
    title = "Circuits of " + ", ".join(dict.fromkeys(s.run.name for s in subjects))
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *_models(subjects),
            *_comparison(subjects),
            *_table(subjects),
            *_drawings(subjects[0]),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _models(subjects: Sequence[Subject]) -> Iterator[str]:
    yield "<ul class=models>"
    for subject in subjects:
        loss = (
            f", validation loss {subject.loss:.3f} nats per token"
            if subject.loss is not None
            else ""
        )
        reached = sum(c.facts.status == REACHED for c in subject.cuts)
        yield (
            f"<li><b>{escape(subject.name)}</b>: {escape(subject.kind)}{loss}; "
            f"{reached} circuits for {len(subject.tasks)} tasks</li>"
        )
    yield "</ul>"


def _comparison(subjects: Sequence[Subject]) -> Iterator[str]:
    """Sizes side by side, over the tasks for which the first model has a circuit."""
    if len(subjects) < 2:
        return
    yield "<h2>How many edges does each model need?</h2>"
    for honest, name in KINDS:
        rows = _rows(subjects, honest)
        if not rows:
            continue
        yield f"<h3>{name.capitalize()} circuits, {len(rows)} tasks</h3>"
        sizes = [(task, list(map(_edges, found))) for task, found in rows]
        yield chart.dots(sizes, [s.name for s in subjects])
        yield from _ratios(subjects, [found for _, found in rows])


def _rows(
    subjects: Sequence[Subject], honest: bool
) -> list[tuple[str, list[Facts | None]]]:
    """(task, each model's circuit or None where it has none that reaches the target)"""
    rows = []
    for task in subjects[0].tasks:
        cuts = [s.find(task, honest) for s in subjects]
        found = [c.facts if c and summary.counted([c.facts]) else None for c in cuts]
        if found[0]:
            rows.append((task, found))
    return rows


def _edges(facts: Facts | None) -> float | None:
    return None if facts is None else facts.size.edges


def _ratios(
    subjects: Sequence[Subject], rows: Sequence[Sequence[Facts | None]]
) -> Iterator[str]:
    first = escape(subjects[0].name)
    yield "<div class=scroll><table><tr><th></th><th>tasks reached</th>"
    yield f"<th>edges, geometric mean</th><th>edges, times {first}</th>"
    yield f"<th>pairs, times {first}</th></tr>"
    for i, subject in enumerate(subjects):
        both = [(f[i].size, f[0].size) for f in rows if f[i] and f[0]]  # type: ignore[union-attr]
        cells = [f"{len(both)} of {len(rows)}"]
        if both:
            own, base = zip(*both, strict=True)
            cells += [
                str(summary.geometric_mean([s.edges for s in own])),
                str(summary.ratio([s.edges for s in own], [b.edges for b in base])),
                str(summary.ratio([s.pairs for s in own], [b.pairs for b in base])),
            ]
        else:
            cells += ["-"] * 3
        told = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f"<tr><th>{escape(subject.name)}</th>{told}</tr>"
    yield (
        "</table></div><p class=note>Ratios are over the tasks that both models reach; "
        "in brackets, 95 of 100 bootstrap draws over tasks. A small circuit in a model "
        "with random weights would mean that there are few weights, not that they mean "
        "something; crosses mark searches that did not reach the target.</p>"
    )


def _table(subjects: Sequence[Subject]) -> Iterator[str]:
    yield "<h2>Every circuit, on prompts that no search has seen</h2>"
    yield "<div class=scroll><table><tr>"
    for head in (
        "task", "model", "asked", "whole model", "edges", "edges+", "effective",
        "nodes", "pairs", "loss", "H", "right", "right, distractors", "scale",
    ):  # fmt: skip
        yield f"<th>{head}</th>"
    yield "</tr>"
    for task in dict.fromkeys(t for s in subjects for t in s.tasks):
        for subject in subjects:
            for honest, name in KINDS:
                cut = subject.find(task, honest)
                if cut:
                    yield _row(task, subject, name, cut.facts)
    yield "</table></div>"
    yield (
        "<p class=note>plain: found by the paper's procedure. honest: found under "
        "harder ablations. H: the worst loss under mean ablation, under frozen norms, "
        f"and of stochastic ablation (95th percentile); at most {HONEST} is honest, at "
        f"most {WEAK} weak. Losses in nats; guessing is 0.693.</p>"
    )


def _row(task: str, subject: Subject, kind: str, facts: Facts) -> str:
    size, test = facts.size, facts.test
    whole = f"{_number(test.whole_loss)}, {_share(test.whole_accuracy)}"
    first = [escape(task), escape(subject.name), kind, whole]
    if facts.status != REACHED:
        cells = "".join(f"<td>{text}</td>" for text in first)
        return f"<tr>{cells}<td colspan=10 class=none>{escape(facts.status)}</td></tr>"
    verdict = "good" if (test.H or 0) <= HONEST else "weak"
    verdict = verdict if (test.H or 0) <= WEAK else "bad"
    numbers = [
        str(size.edges),
        str(size.edges_plus),
        "" if size.effective_edges is None else str(size.effective_edges),
        str(size.nodes),
        f"{size.pairs:,}",
        _number(test.mean),
    ]
    last = [
        _share(test.accuracy),
        _share(test.distractor_accuracy),
        f"{facts.calibration.scale:.2f}",
    ]
    cells = "".join(f"<td>{text}</td>" for text in [*first, *numbers])
    cells += f"<td class={verdict}>{_number(test.H)}</td>"
    cells += "".join(f"<td>{text}</td>" for text in last)
    return f"<tr>{cells}</tr>"


def _drawings(subject: Subject) -> Iterator[str]:
    """The circuits of the first model."""
    yield f"<h2>The circuits of {escape(subject.name)}</h2>"
    yield (
        "<p class=note>Left to right in the order of computation; red weights are "
        "positive, blue negative; grey lines carry a channel of the residual from "
        "where it is written to where it is read. Point at anything to see its "
        "name.</p>"
    )
    for task in subject.tasks:
        for honest, name in KINDS:
            cut = subject.find(task, honest)
            if cut and cut.facts.status == REACHED:
                yield from _drawing(cut, name)


def _drawing(cut: Cut, name: str) -> Iterator[str]:
    facts = cut.facts
    opened = " open" if name == "honest" else ""
    yield (
        f"<details{opened}><summary>{escape(facts.task)}, {name}: {facts.size.edges} "
        f"edges, {facts.size.nodes} nodes</summary>"
    )
    try:
        found = circuit.load_circuit(cut.folder)
    except Refusal as refusal:
        yield f"<p class=none>{escape(str(refusal))}</p></details>"
        return
    yield f"<div class=scroll>{drawing.svg(found)}</div>"
    curve = facts.curve
    points = list(zip(curve.edges_plus, curve.loss, strict=True))
    chosen = (facts.size.edges_plus, facts.val.mean)
    yield chart.curve(points, facts.search.target, chosen)
    yield "</details>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}%"
