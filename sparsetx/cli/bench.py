"""Run benchmarks: time sparsetx's fast implementations against alternatives.

Ratios are to sparsetx's own implementation, in the same run.
"""

import argparse

GROUPS = {
    "topk": "sparsetx.bench.topk",
    "data": "sparsetx.bench.data",
    "training": "sparsetx.bench.training",
    "pruning": "sparsetx.bench.pruning",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "group",
        nargs="*",
        metavar="GROUP",
        help=f"groups of benchmarks: {', '.join(GROUPS)} (default: all)",
    )


def main(args: argparse.Namespace) -> int:
    import importlib

    from sparsetx.system import fields
    from sparsetx.system.errors import refuse_all

    refuse_all(
        "no such benchmark",
        [f"{g}: {fields.near(g, list(GROUPS))}" for g in args.group if g not in GROUPS],
    )
    for name in args.group or GROUPS:
        group = ""
        for row in importlib.import_module(GROUPS[name]).run():
            if row.group != group:
                group = row.group
                print(f"\n{group}")
            milliseconds = f"{1000 * row.seconds:.2f} ms"
            rate = f"{row.tokens / row.seconds:>14,.0f} tokens/s" if row.tokens else ""
            line = f"  {row.name:<24} {milliseconds:>12} {row.ratio:>8.2f} x{rate}"
            print(f"{line}  {row.note}".rstrip())
    return 0
