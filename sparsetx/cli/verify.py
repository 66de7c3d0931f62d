"""Read a run whole, and say whether it is still what was written.

Checkpoints, metrics, tokenizer and circuits are compared with their checksums; nothing
is changed. Exit code 1 if anything is damaged. A damaged checkpoint is set aside by the
next start of the run, which goes on from the one before it.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")


def main(args: argparse.Namespace) -> int:
    from sparsetx import verify
    from sparsetx.cli.progress import ProgressLine

    line, damaged = ProgressLine(), 0
    for n, found in enumerate(verify.run(args.run, line)):
        line.close()
        if n == 0:  # not before: there may be no run there
            print(args.run)
        damaged += not found.whole
        print(
            f"  {'whole' if found.whole else 'DAMAGED':<8} {found.name}: {found.told}"
        )
    line.close()
    print("  all is as it was written" if not damaged else f"  {damaged} damaged")
    return 1 if damaged else 0
