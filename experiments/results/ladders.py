"""What circuits of two models hold under, and how large they are, as tables and picture.

    python experiments/results/ladders.py RUN OTHER --picture faithful.png
    python experiments/results/ladders.py RUN OTHER RUN2 OTHER2   # two trainings of both

With several trainings there is also a table of all, whose intervals are over trainings
and tasks. The picture, of the first, has a panel for each task: the edges of each
circuit, and its worst loss, F, when other nodes are replaced in any of five ways;
circuits below the line hold.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from sparsetx.circuits import size_means
from sparsetx.circuits.facts import KINDS, REACHED, Facts
from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.runs_and_circuits import Subject
from sparsetx.system.errors import Refusal

MARKS = {"plain": "o", "honest": "s", "faithful": "D"}
COLOURS = ("#0b6bb8", "#b04a0a")
COUNTS = ("edges", "pairs")


def reached(model: Subject, task: str, kind: str) -> Facts | None:
    cut = model.find(task, kind)  # type: ignore[arg-type]
    return cut.facts if cut and cut.facts.status == REACHED else None


def written(x: float | None, digits: int = 3) -> str:
    """A number; a dash for what was not measured."""
    return "–" if x is None else f"{x:.{digits}f}"


def ladder(model: Subject) -> Iterator[str]:
    """A row for each circuit: its loss under each ablation, and how often it is right."""
    yield (
        f"| {model.name}: task | circuit | edges | nodes | mean | norms | mixtures "
        "| together | apart | worst template | ε | right: mean, together, apart |"
    )
    yield "|---" * 12 + "|"
    for task in model.tasks:
        for kind in KINDS:
            facts = reached(model, task, kind)
            if facts is None:
                continue
            test = facts.test
            losses = (
                test.mean,
                test.frozen,
                test.stochastic,
                test.together,
                test.apart,
            )
            right = (test.accuracy, test.together_accuracy, test.apart_accuracy)
            cells = (
                task, kind, f"{facts.size.edges:,}", f"{facts.size.nodes:,}",
                *(written(x) for x in losses),
                written(max(test.templates, default=None)),
                written(test.epsilon, 2),
                ", ".join(written(x and 100 * x, 1) for x in right) + " %",
            )  # fmt: skip
            yield f"| {' | '.join(cells)} |"


def sizes(one: Subject, other: Subject, kind: str) -> Iterator[str]:
    """Edges and F of both models task by task, and the means with intervals."""
    yield f"| {kind} | {one.name}: edges, F | {other.name}: edges, F | ratio | in pairs |"
    yield "|---" * 5 + "|"
    both = beside_each_other(one, other, kind)
    for task, own, beside in both:
        told = [f"{f.size.edges:,}, {written(f.test.F)}" for f in (own, beside)]
        ratio = beside.size.edges / own.size.edges
        pairs = beside.size.pairs / own.size.pairs
        yield f"| {task} | {' | '.join(told)} | {ratio:.1f} | {pairs:.1f} |"
    if both:
        edges, pairs = (counts(both, name) for name in COUNTS)
        means = [str(size_means.geometric_mean(each)) for each in edges]
        ratios = [str(size_means.ratio(each[1], each[0])) for each in (edges, pairs)]
        yield f"| **geometric mean** | {' | '.join([*means, *ratios])} |"


def beside_each_other(
    one: Subject, other: Subject, kind: str
) -> list[tuple[str, Facts, Facts]]:
    """The circuits of the tasks for which both models have one."""
    each = ((t, reached(one, t, kind), reached(other, t, kind)) for t in one.tasks)
    return [(task, own, beside) for task, own, beside in each if own and beside]


def counts(both: Sequence[tuple[str, Facts, Facts]], name: str) -> list[list[int]]:
    """Of both models, a size for each task."""
    return [
        [getattr(facts.size, name) for facts in each]
        for each in list(zip(*both, strict=True))[1:]
    ]


def trainings(models: Sequence[tuple[Subject, Subject]]) -> Iterator[str]:
    """Ratios over several trainings of both models."""
    yield f"| {len(models)} trainings | circuits | ratio in edges | in pairs of nodes |"
    yield "|---" * 4 + "|"
    for kind in KINDS:
        each = [beside_each_other(*own, kind) for own in models]
        cells = []
        for name in COUNTS:
            sizes = [counts(both, name) for both in each if both]
            ratios = [(theirs, ours) for ours, theirs in sizes]
            cells.append(str(size_means.ratio_of_trainings(ratios)) if ratios else "–")
        yield f"| {kind} | {sum(map(len, each))} | {' | '.join(cells)} |"


def picture(models: Sequence[Subject], path: Path) -> None:
    tasks = models[0].tasks
    every = [reached(m, task, kind) for m in models for task in tasks for kind in KINDS]
    if not any(facts and facts.test.F is not None for facts in every):
        raise Refusal("wanted a circuit with an F: `sparsetx prune` measures it")
    matplotlib.use("Agg")
    rows = -(-len(tasks) // 3)
    figure, axes = plt.subplots(
        rows, 3, figsize=(11, 3.1 * rows), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, task in zip(axes.flat, tasks, strict=False):
        for model, colour in zip(models, COLOURS, strict=False):
            found = {kind: reached(model, task, kind) for kind in KINDS}
            shown = {k: f for k, f in found.items() if f and f.test.F is not None}
            x = [facts.size.edges for facts in shown.values()]
            y = [facts.test.F for facts in shown.values()]
            axis.plot(x, y, color=colour, linewidth=1, alpha=0.6)
            for kind, edges, worst in zip(shown, x, y, strict=True):
                axis.scatter(edges, worst, 34, colour, marker=MARKS[kind], zorder=3,
                             label=f"{model.name}, {kind}")  # fmt: skip
        axis.axhline(0.15, color="#444", linewidth=1, linestyle="--")
        axis.set(xscale="log", yscale="log", title=task)
        axis.grid(alpha=0.25)
    for axis in list(axes.flat)[len(tasks) :]:
        axis.remove()
    for axis in axes[-1]:
        axis.set_xlabel("edges")
    figure.supylabel("F: worst loss, in nats (target: 0.15)")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), ncols=3,
                  loc="outside lower center")  # fmt: skip
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    if len(args.runs) % 2:
        parser.error("wanted RUN OTHER for each training: an even number of runs")
    try:
        show(args.runs, args.picture)
    except (Refusal, OSError) as error:
        print(f"ladders.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def show(runs: Sequence[str], path: Path | None) -> None:
    # A run's own circuits come first, those of shuffled weights and peers behind them.
    each = [runs_and_circuits.subjects([run])[0] for run in runs]
    models = list(zip(each[::2], each[1::2], strict=True))
    for one, other in models:
        kinds = (sizes(one, other, k) for k in KINDS)
        for lines in (ladder(one), ladder(other), *kinds):
            print("\n".join(lines), end="\n\n")
    if len(models) > 1:
        print("\n".join(trainings(models)))
    if path:
        picture(models[0], path)


if __name__ == "__main__":
    sys.exit(main())
