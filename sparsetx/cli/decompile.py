"""Write a circuit as a short, readable program that only needs NumPy.

    sparsetx decompile runs/quotes/circuits/single_double_quote -o quotes.py --lines 800
    python quotes.py 'print' '("' 'red'

The program is first run on every pair of the circuit's test pool, and only written if
it agrees with the circuit to 1e-5 (of the larger of 1 and the logit). Models with
concatenated positions have no such program, and AbsTopK rarely has a short one:
experiments/quotes.py trains a model without them.
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
        help="the pairs of your own task, as given to `sparsetx prune`",
    )
    parser.add_argument(
        "--lines",
        type=int,
        metavar="N",
        help="refuse longer programs (default: 150 lines for every 60 edges)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits import circuit
    from sparsetx.circuits.program import numpy_program
    from sparsetx.circuits.search import pools
    from sparsetx.system import files

    folder = circuit.folder_of(args.circuit)
    found = circuit.load_circuit(folder)
    asked = pools.again(folder, found.facts, args.task_file)
    out = files.place(args.out or folder / "circuit.py")
    files.check_writable(out.parent)
    made = numpy_program.written(found, asked.pairs, asked.tokenizer.token, args.lines)
    files.write_text(out, made.text)
    print(
        f"{out} is written: {made.lines} lines, {made.tables} of them tables, "
        f"for {len(found.nodes)} nodes and {len(found.edges)} edges"
    )
    print(
        f"  on all {made.pairs} test pairs its logits are within {made.off:.1e} of the "
        f"circuit's, and it is right on {made.accuracy:.1%} of {2 * made.pairs} prompts"
    )
    return 0
