"""Draw runs, or circuits: `sparsetx plot RUN…` or `sparsetx plot CIRCUIT…`.

Of runs: loss, kept fraction, learning rate, throughput, kurtosis of the residual and
gradient, in one PNG. Of circuits: loss against edges, and what `sparsetx controls` has
found (necessity, faithfulness, relaxation, seeds), each as PNG, SVG and CSV.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN|CIRCUIT", help="folders of runs, or of circuits"
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.png|DIR",
        help="where to draw (default: training.png in the first run, or plots/ in the "
        "first circuit)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import files
    from sparsetx.circuits import circuit

    paths = [files.place(name) for name in args.runs]
    if any((path / circuit.JSON).is_file() for path in paths):
        return of_circuits(paths, args.out)
    return of_runs(args.runs, args.out)


def of_runs(names: list[str], out: str | None) -> int:
    from sparsetx import files, metrics, plots
    from sparsetx.errors import refuse_all
    from sparsetx.run import METRICS

    found = {name: metrics.read(files.place(name) / METRICS) for name in names}
    missing = [f"{name}: no rows in {METRICS}" for name in found if not found[name]]
    refuse_all("wanted runs that were trained", missing)
    path = files.place(out or files.place(names[0]) / "training.png")
    plots.training(found, path)
    print(path)
    return 0


def of_circuits(paths: "list[Path]", out: str | None) -> int:
    from sparsetx import circuit_plots, files
    from sparsetx.circuit_plots import Drawn
    from sparsetx.circuits import circuit
    from sparsetx.circuits.controls import store

    found = []
    for path in paths:
        facts = circuit.load_facts(path)
        words = [facts.task, facts.search.kind]
        if facts.search.rank != "learned":
            words.append(f"by {facts.search.rank}")
        if facts.model.shuffled is not None:
            words.append("random weights")
        label = f"{files.place(facts.model.run).name}: {', '.join(words)}"
        found.append(Drawn(label, facts, store.load(path, facts)[0]))
    for file in circuit_plots.pictures(found, files.place(out or paths[0] / "plots")):
        print(file)
    return 0
