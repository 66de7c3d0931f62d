"""Evaluate a run: validation loss, and with --tasks its loss on each task.

With --understood, also what the model predicts of text with only its circuits' nodes
left: how much of it the circuits explain.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.circuits.circuit import Circuit
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.run import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")
    parser.add_argument(
        "--batches",
        type=int,
        metavar="N",
        help="batches of the validation split (default: train.eval_batches)",
    )
    parser.add_argument(
        "--tasks",
        nargs="?",
        const="all",
        metavar="A,B",
        help="also evaluate these tasks, or all if none is named (default: no tasks)",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=512,
        metavar="N",
        help="held-out pairs of each task (default: 512)",
    )
    parser.add_argument(
        "--understood",
        nargs="?",
        const="plain",
        choices=("plain", "honest", "faithful"),
        metavar="KIND",
        help="also the loss with only the nodes of all circuits of a kind: plain, "
        "honest or faithful (default: plain)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits import circuit_union
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.run import load_run
    from sparsetx.tasks import table
    from sparsetx.training import evaluation

    run = load_run(args.run, args.step)
    line = ProgressLine()
    tasks = table.chosen(args.tasks) if args.tasks else []
    kind = args.understood
    circuits = circuit_union.circuits_of(run, kind) if kind else {}
    found = evaluation.validation(run, args.batches)
    line.close()
    print(f"{run.path}, step {run.step:,}")
    for name, value in found.items():
        unit = " nats per token" if name == "validation_loss" else ""
        print(f"  {name.replace('_', ' ')}: {value:.4f}{unit}")
    if tasks:
        show_tasks(run, tasks, args.pairs, line)
    if kind:
        show_understood(run, kind, circuits, args.batches, line)
    return 0


def show_tasks(run: "Run", tasks: list[str], pairs: int, line: "ProgressLine") -> None:
    from sparsetx.training import evaluation

    width = max(map(len, tasks))
    print(f"  {'task':<{width}}   loss   accuracy   ({pairs} held-out pairs)")
    good = 0
    for name, found in evaluation.tasks(run, tasks, pairs):
        if isinstance(found, str):
            print(f"  {name:<{width}}   {found}")
            continue
        good += found.loss <= evaluation.DONE
        print(f"  {name:<{width}}  {found.loss:.4f}  {found.accuracy:.4f}")
    print(f"  {good} of {len(tasks)} tasks at a loss of {evaluation.DONE} or less")


def show_understood(
    run: "Run",
    kind: str,
    tasks: "dict[str, Circuit]",
    batches: int | None,
    line: "ProgressLine",
) -> None:
    from sparsetx.circuits import circuit_union

    found = circuit_union.of_run(run, list(tasks.values()), batches, line)
    line.close()
    print(f"  {kind} circuits of {len(tasks)} tasks: {', '.join(tasks)}")
    print(f"  they have {found.nodes:,} of {found.of:,} nodes, of which are in")
    for number, count in found.served.items():
        name = "no circuit" if number == 0 else f"{number} of them"
        print(f"    {name:<10} {count:>7,}")
    rows = (
        ("word frequencies", found.unigram),
        ("no node, all at their means", found.nothing),
        (f"as many random nodes, {circuit_union.REDRAWS} draws", found.random),
        ("only the circuits' nodes", found.circuits),
        ("the whole model", found.whole),
    )
    print("  validation loss, nats per token, with")
    for name, loss in rows:
        print(f"    {name:<38} {loss:.4f}")
    print(
        f"  understood: {found.share:.1%} of what the model gains over word "
        f"frequencies; of what nodes gain over none {found.nodes_share:.1%} "
        f"(random nodes: {found.random_share:.1%})"
    )
