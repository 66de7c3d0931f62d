"""Check all files of a run for damage.

Checkpoints and circuits are compared with their checksums; metrics, tokenizer and
environment are parsed. Nothing is changed. Exit code 1 if anything is damaged. The next
start of a run sets a damaged checkpoint aside, and resumes from the one before it.
"""

import argparse
import itertools


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--rescore",
        action="store_true",
        help="also measure the loss of every circuit again, on its test prompts",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits.controls.verification import circuits
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.run import verification

    line, damaged = ProgressLine(), 0
    every = itertools.chain(
        verification.run(args.run, line), circuits(args.run, args.rescore)
    )
    for n, found in enumerate(every):
        line.close()
        if n == 0:  # not before: the path may be no run
            print(args.run)
        damaged += not found.whole
        print(
            f"  {'whole' if found.whole else 'DAMAGED':<8} {found.name}: {found.told}"
        )
    line.close()
    print("  all is as it was written" if not damaged else f"  {damaged} damaged")
    return 1 if damaged else 0
