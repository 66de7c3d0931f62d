"""Run benchmarks: time sparsetx against limits and alternatives, PyTorch among them.

Contestants take turns, so that what else a machine does slows all of them alike. Ratios
are to the first of a group, in the same run; `least` is the shortest time, and `spread`
the interquartile range as a part of the median. Each group runs in a process of its
own. PyTorch is not needed; with it (make .venv-torch/installed) its rows are added.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.bench.timing import Row

GROUPS = {
    "topk": "sparsetx.bench.topk",
    "projection": "sparsetx.bench.projection",
    "data": "sparsetx.bench.data",
    "training": "sparsetx.bench.training",
    "pruning": "sparsetx.bench.pruning",
    "inference": "sparsetx.bench.inference",
}
LIKE_TRAIN = ("topk", "projection", "training")  # with its settings of malloc
LIKE_PRUNE = ("pruning",)  # with a device per core


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "group",
        nargs="*",
        metavar="GROUP",
        help=f"groups of benchmarks: {', '.join(GROUPS)} (default: all)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="turns of each contestant (default: 3 to 15, fewer for what takes long)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, 3 rounds: does it all work?"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--markdown", metavar="FILE", help="write the tables to FILE, as in README.md"
    )
    parser.add_argument(
        "--plots", metavar="DIR", help="write plots of times by size to DIR, as PNG"
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.system import fields
    from sparsetx.system.errors import refuse_all

    refuse_all(
        "no such benchmark",
        [f"{g}: {fields.near(g, list(GROUPS))}" for g in args.group if g not in GROUPS],
    )
    if args.rounds is not None and args.rounds < 1:
        refuse_all(
            "nothing to time", [f"--rounds: wanted 1 or more, got {args.rounds}"]
        )
    groups = args.group or list(GROUPS)
    failed: list[str] = []
    if len(groups) == 1:
        rows = _here(groups[0], args)
    else:
        rows, failed = _apart(groups, args)
    if rows:
        _write(args, rows)
    if failed:
        print(f"sparsetx bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _here(name: str, args: argparse.Namespace) -> "list[Row]":
    """Run one group in this process, and print its rows as they come."""
    import importlib

    from sparsetx.system import hosts
    from sparsetx.system.cpu import malloc

    if name in LIKE_TRAIN:  # before jax starts its threads
        malloc.keep()
    if name in LIKE_PRUNE:
        hosts.device_per_core()

    from sparsetx.bench import opponent, timing
    from sparsetx.bench.timing import Asked
    from sparsetx.cli.progress import ProgressLine

    line = ProgressLine()
    for text in filter(None, (opponent.missing(), timing.warning())):
        print(f"sparsetx bench {name}: {text}", file=sys.stderr)
    rows: list[Row] = []
    for row in importlib.import_module(GROUPS[name]).run(
        Asked(args.rounds, args.quick, line)
    ):
        line.close()
        _show(row, rows[-1].group if rows else "")
        rows.append(row)
    line.close()
    return rows


def _show(row: "Row", group: str) -> None:
    from sparsetx.bench import results

    if row.group != group:
        print(f"\n{row.group}")
        print("  " + _columns(["", *results.HEADINGS[1:]]))
    print(("  " + _columns(results.cells(row))).rstrip(), flush=True)


def _columns(cells: list[str]) -> str:
    name, median, least, spread, ratio, rate, memory, note = cells
    return (
        f"{name:<29}{median:>9}{least:>9}{spread:>7}{ratio:>9}{rate:>18}{memory:>10}"
        f"  {note}"
    )


def _apart(
    groups: list[str], args: argparse.Namespace
) -> "tuple[list[Row], list[str]]":
    """Run each group in a process of its own, so that none finds the memory, threads
    or devices of another; all rows, and the groups that failed."""
    import subprocess
    import tempfile

    from sparsetx.bench import results, timing

    timing.others()  # seen now, before any benchmark runs
    options = ["--quick"] if args.quick else []
    options += ["--rounds", str(args.rounds)] if args.rounds else []
    rows: list[Row] = []
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in groups:
            path = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", "sparsetx", "bench", name, *options]
            ended = subprocess.run([*command, "--json", str(path)], check=False)
            if ended.returncode:
                failed.append(name)
            else:
                rows += results.read_json(path)[1]
    return rows, failed


def _write(args: argparse.Namespace, rows: "list[Row]") -> None:
    """Write the files that were asked for."""
    from sparsetx.bench import results
    from sparsetx.system import files

    found = results.facts() if args.json or args.markdown else {}
    if args.json:
        results.write_json(args.json, found, rows)
    if args.markdown:
        files.write_text(args.markdown, results.markdown(found, rows))
    written = results.plots(args.plots, rows) if args.plots else []
    for path in [*filter(None, [args.markdown]), *written]:
        print(f"wrote {path}", file=sys.stderr)
