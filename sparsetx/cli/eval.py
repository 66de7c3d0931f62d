"""Evaluate a run: validation loss, and with --tasks its loss on each task."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def main(args: argparse.Namespace) -> int:
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.run import load_run
    from sparsetx.tasks import table
    from sparsetx.training import evaluation

    run = load_run(args.run, args.step)
    line = ProgressLine()
    tasks = table.chosen(args.tasks) if args.tasks else []
    found = evaluation.validation(run, args.batches)
    line.close()
    print(f"{run.path}, step {run.step:,}")
    for name, value in found.items():
        unit = " nats per token" if name == "validation_loss" else ""
        print(f"  {name.replace('_', ' ')}: {value:.4f}{unit}")
    if tasks:
        show_tasks(run, tasks, args.pairs, line)
    return 0


def show_tasks(run: "Run", tasks: list[str], pairs: int, line: object) -> None:
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
