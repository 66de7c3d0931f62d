"""Train and cut every cell of a study: `sparsetx study FILE [--only KEY=VALUE,…]`.

FILE is a Python file whose study() returns a Study. Cells go to OUT/CELL, a run's
folder each; the table to OUT/study.csv and study.json, the frontier to OUT/frontier.*.
To resume after a kill, start the command again; start it several times, or on several
machines with one --out, to share the cells. SIGTERM saves and exits with 42.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparsetx.study.definition import Cell
    from sparsetx.study.work import Place


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("study", metavar="FILE", help="a .py file whose study() returns a Study")
    add("--out", metavar="DIR", help="the study's folder (default: runs/NAME-OF-FILE)")
    add(
        "--only",
        metavar="KEY=VALUE,…",
        help="only these cells; several values of one key are alternatives",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", action="store_true", help="print the cells and how far each is"
    )
    what.add_argument(
        "--table", action="store_true", help="only make the tables of what is there"
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.cli import experiment
    from sparsetx.study import definition
    from sparsetx.study.work import Place
    from sparsetx.system import files

    study = experiment.load_study(args.study)
    cells = definition.selected(study, args.only)
    path = files.place(args.out or Path("runs") / Path(args.study).stem)
    place = Place(study, path)
    if args.list:
        show(place, cells)
        return 0
    if args.table:
        write(place)
        return 0
    return work(place, cells, args)


def work(place: "Place", cells: "Sequence[Cell]", args: argparse.Namespace) -> int:
    from sparsetx.cli.progress import ProgressLine, clock
    from sparsetx.study.work import Work

    line = ProgressLine()

    def say(text: str) -> None:
        line.close()
        print(text, file=sys.stderr, flush=True)

    own = Work(place, args.stop, clock, line, say)
    try:
        for cell in own.run(cells):
            line.close()
            print(f"{cell.name}: done", flush=True)
    finally:
        line.close()
    if args.stop:
        print("stopped; the same command goes on from here")
        return int(args.stop.code)
    write(place)
    for name, error in own.failed.items():
        print(f"sparsetx study: {name}: {error}", file=sys.stderr)
    left = [c.name for c in cells if not place.is_done(c) and c.name not in own.failed]
    if left:
        print(f"done by other processes: {' '.join(left)}")
    return 1 if own.failed else 0


def show(place: "Place", cells: "Sequence[Cell]") -> None:
    """Print a line for each cell: its model, and what is done."""
    from sparsetx.study.outlook import PRUNE, TRAIN

    width = max(len(cell.name) for cell in cells)
    for cell in cells:
        left = place.shares_left(cell)
        searches = len(place.study.tasks) * len(cell.shuffles)
        done = searches - len(place.missing(cell))
        if not left[TRAIN] and not left[PRUNE]:
            state = "done"
        else:
            state = f"trained {100 * (1 - left[TRAIN]):.0f}%, {done}/{searches} cut"
        print(f"{cell.name:<{width}}  {cell.kind:<6}  {state}")


def write(place: "Place") -> None:
    """Write tables and plot of what is there, and print what was written."""
    from sparsetx.study import frontier, frontier_plot, table

    with table.writing(place):
        rows = table.rows(place)
        found = table.write(place, rows)
        found += frontier_plot.write(frontier.panels(place.study, rows), place.path)
    missed = sum(not row["reached"] for row in rows)
    print(f"{len(rows)} circuits, {missed} of them did not reach the target")
    for path in found:
        print(path)
