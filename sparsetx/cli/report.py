"""Write a page about circuits: one HTML file that opens anywhere, without a network.

Name a run, or several to compare: circuits of the first are explored, node by node and
token by token; those of the others stand beside them. Circuits of the same run with
shuffled weights are found beside its own.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="RUN|CIRCUIT", help="folders of runs or circuits"
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.html",
        help="where it goes (default: report.html in the first folder)",
    )
    parser.add_argument(
        "--task-file",
        metavar="F.jsonl",
        help="pairs of your own task, to step through its prompts",
    )
    parser.add_argument(
        "--effects",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="find what every node and edge is worth, by running the circuit without "
        "it (default: yes)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import files
    from sparsetx.circuits.report import gather
    from sparsetx.circuits.report.page import page
    from sparsetx.circuits.report.payload import Wishes, payload
    from sparsetx.cli.progress import ProgressLine

    out = files.place(args.out or files.place(args.paths[0]) / "report.html")
    found = gather.subjects(args.paths)
    files.check_writable(out.parent)
    line = ProgressLine()
    wishes = Wishes(args.task_file, measured=args.effects)
    text = page(payload(found, wishes, line))
    line.close()
    files.write_text(out, text)
    where = out if files.is_remote(out) else f"file://{out.resolve()}"
    print(f"{out} is written: open it in a browser, {where}")
    return 0
