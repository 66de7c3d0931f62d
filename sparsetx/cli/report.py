"""Write a report page about circuits: one HTML file that opens without a network.

Give a run, or several to compare: circuits of the first can be explored, node by node
and token by token; those of the others are compared with them. Circuits of a run with
shuffled weights are found with its own.
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
        "--costs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure ablation costs of all nodes and edges, and interchange effects "
        "(default: yes)",
    )
    parser.add_argument(
        "--notes",
        metavar="FILE.json",
        help="names and notes of nodes, groups and prompts, and groups of your own, as "
        "the page saves them",
    )
    parser.add_argument(
        "--graph",
        metavar="FILE.json",
        help="also write the graphs of all explored circuits, with labels and groups",
    )
    parser.add_argument(
        "--attribution-graphs",
        metavar="FOLDER",
        help="also write each explored circuit on its first pair of prompts, as the "
        "files that Neuronpedia and circuit-tracer read",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits.report import runs_and_circuits
    from sparsetx.circuits.report.exchange import graph_exchange, notes
    from sparsetx.circuits.report.page import page
    from sparsetx.circuits.report.page_data import Wishes, payload
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.system import files
    from sparsetx.system.cpu import processes

    out = files.place(args.out or files.place(args.paths[0]) / "report.html")
    found = runs_and_circuits.subjects(args.paths)
    files.check_writable(out.parent)
    if args.graph:
        files.check_writable(files.place(args.graph).parent)
    if args.attribution_graphs:
        files.check_writable(files.place(args.attribution_graphs))
    line = ProgressLine()
    wishes = Wishes(args.task_file, measured=args.costs)
    own = files.read_json(args.notes, "notes") if args.notes else None
    told = payload(found, wishes, line, processes.cores())
    line.close()
    if args.notes:
        notes.bake(told, own, args.notes)
    files.write_text(out, page(told))
    if args.graph:
        files.write_json(args.graph, graph_exchange.own(told))
    if args.attribution_graphs:
        folder = files.place(args.attribution_graphs)
        files.make_folder(folder)
        for circuit in told["circuits"]:
            if circuit["detail"] and circuit["prompts"]:
                for side in "ab":
                    scan = told["models"][circuit["model"]]["name"]
                    graph = graph_exchange.attribution(circuit, scan, 0, side)
                    name = graph["metadata"]["slug"]
                    files.write_json(folder / f"{name}.json", graph)
    where = out if files.is_remote(out) else f"file://{out.resolve()}"
    print(f"{out} is written: open it in a browser, {where}")
    return 0
