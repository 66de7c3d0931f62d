"""Plot runs or circuits: `sparsetx plot RUN…` or `sparsetx plot CIRCUIT…`.

Of runs: loss, kept fraction, learning rate, throughput, kurtosis of the residual and
gradient, in one PNG. Of circuits: each as a graph from the tokens of a prompt to the
answers (PNG, SVG); loss against edges, and results of `sparsetx controls` (necessity,
faithfulness, relaxation, seeds), each as PNG, SVG and CSV.
"""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sparsetx.tasks.pairs import Pairs


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN|CIRCUIT", help="folders of runs, or of circuits"
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.png|DIR",
        help="where to write (default: training.png in the first run, or plots/ in the "
        "first circuit)",
    )
    parser.add_argument(
        "--task-file",
        metavar="F.jsonl",
        help="the pairs of a circuit whose task is your own; without them its graph is "
        "not drawn",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits import circuit
    from sparsetx.system import files

    paths = [files.place(name) for name in args.runs]
    if any((path / circuit.JSON).is_file() for path in paths):
        return of_circuits(paths, args.out, args.task_file)
    return of_runs(args.runs, args.out)


def of_runs(names: list[str], out: str | None) -> int:
    from sparsetx.plots import training
    from sparsetx.run import METRICS, metrics_log
    from sparsetx.system import files
    from sparsetx.system.errors import refuse_all

    found = {name: metrics_log.read(files.place(name) / METRICS) for name in names}
    missing = [f"{name}: no rows in {METRICS}" for name in found if not found[name]]
    refuse_all("wanted runs that were trained", missing)
    path = files.place(out or files.place(names[0]) / "training.png")
    training.training(found, path)
    print(path)
    return 0


def of_circuits(paths: "list[Path]", out: str | None, task_file: str | None) -> int:
    from sparsetx.circuits import circuit
    from sparsetx.circuits.controls import controls_file
    from sparsetx.circuits.facts import REACHED
    from sparsetx.plots import circuits
    from sparsetx.plots.circuits import Drawn
    from sparsetx.system import files
    from sparsetx.system.errors import Refusal

    found = []
    for path in paths:
        facts = circuit.load_facts(path)
        words = [facts.task, facts.search.kind]
        if facts.search.rank != "learned":
            words.append(f"by {facts.search.rank}")
        if facts.model.shuffled is not None:
            of = "" if facts.model.shuffled_part == "all" else " of blocks"
            words.append(f"shuffled weights{of}")
        label = f"{files.place(facts.model.run).name}: {', '.join(words)}"
        found.append(Drawn(label, facts, controls_file.load(path, facts)[0]))
    folder = files.place(out or paths[0] / "plots")
    for file in circuits.pictures(found, folder):
        print(file)
    for number, (path, one) in enumerate(zip(paths, found, strict=True), 1):
        stem = folder / ("circuit" if len(paths) == 1 else f"circuit-{number}")
        try:
            drawn = (
                as_graph(path, task_file, stem) if one.facts.status == REACHED else []
            )
        except Refusal as refusal:  # the task is of a file that was not given
            print(f"{stem.name} is not drawn: {refusal}", file=sys.stderr)
            continue
        for file in drawn:
            print(file)
    return 0


def as_graph(path: "Path", task_file: str | None, stem: "Path") -> "list[Path]":
    """Draw one circuit with the shortest pair of the test pool; returns the files."""
    from sparsetx.circuits import circuit
    from sparsetx.circuits.explain import activations, explanation
    from sparsetx.circuits.search import pools
    from sparsetx.plots import circuit_drawing

    folder = circuit.folder_of(path)
    found = circuit.load_circuit(folder)
    asked = pools.again(folder, found.facts, task_file, count=explanation.PAIRS)
    pairs = pools.first_of(asked.pairs, explanation.PAIRS, found.config)
    sample = activations.of(found, pairs.tokens_BL, pairs.position_B)
    token = asked.tokenizer.token
    seen = explanation.of(found, pairs, sample, token, edges=0)
    return circuit_drawing.draw(found, seen, shortest(pairs), token, stem)


def shortest(pairs: "Pairs") -> "Pairs":
    """The pair with the fewest tokens."""
    import dataclasses

    first = 2 * int(pairs.position_B.reshape(-1, 2).max(1).argmin())
    rows = slice(first, first + 2)
    return dataclasses.replace(
        pairs,
        tokens_BL=pairs.tokens_BL[rows],
        position_B=pairs.position_B[rows],
        answers_B2=pairs.answers_B2[rows],
    )
