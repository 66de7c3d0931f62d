"""Write a circuit down as a program: short, readable, in NumPy alone.

    sparsetx decompile runs/quotes/circuits/single_double_quote -o quotes.py --lines 800
    python quotes.py 'print' '("' 'red'

It is run on every pair of the circuit's test pool first, and only written where it
agrees with the circuit to 1e-5 (of the larger of 1 and the logit). Positions, and all
but the simplest choices of AbsTopK, have no short program: experiments/quotes.py makes
a model without them.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("circuit", metavar="CIRCUIT", help="a circuit's folder")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.py",
        help="where it goes (default: circuit.py in the circuit's folder)",
    )
    parser.add_argument(
        "--task-file",
        metavar="F.jsonl",
        help="the pairs of a task of your own, as given to `sparsetx prune`",
    )
    parser.add_argument(
        "--lines",
        type=int,
        metavar="N",
        help="the longest program that is written (default: 150 lines for every 60 "
        "edges)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import files
    from sparsetx.circuits import circuit, decompile, prompts

    folder = circuit.folder_of(args.circuit)
    found = circuit.load_circuit(folder)
    asked = prompts.of(folder, found.facts, args.task_file)
    out = files.place(args.out or folder / "circuit.py")
    files.check_writable(out.parent)
    made = decompile.written(found, asked.pairs, asked.tokenizer.token, args.lines)
    files.write_text(out, made.text)
    print(
        f"{out} is written: {made.lines} lines, {made.tables} of them tables, "
        f"for {len(found.nodes)} nodes and {len(found.edges)} edges"
    )
    print(
        f"  on all {made.pairs} test pairs it is within {made.off:.1e} of the circuit, "
        f"and right in {made.accuracy:.1%} of {2 * made.pairs} prompts"
    )
    return 0
