"""Print an experiment's resolved configuration as JSON, or how two of them differ.

The values are checked first, and all errors reported at once (exit code 2).
"""

import argparse
import json

from sparsetx.cli.experiment import EXPERIMENT_HELP


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help=EXPERIMENT_HELP)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key.sub=value",
        help="changes to the configuration, e.g. model.d_model=256",
    )
    parser.add_argument(
        "--diff", metavar="OTHER", help="print only where another experiment differs"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print one line per key: its value and what it means",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.cli import experiment
    from sparsetx.system import fields

    config = experiment.load(args.experiment, args.overrides)
    if args.diff:
        found = fields.diff(config, experiment.load(args.diff))
        for path, ours, theirs in found:
            print(f"{path}: {fields.shown(ours)} -> {fields.shown(theirs)}")
        if not found:
            print("the two configurations are equal")
    elif args.explain:
        for path, value, meaning in fields.explained(config):
            print(f"{path + ' = ' + fields.shown(value):<40} {meaning}")
    else:
        print(json.dumps(fields.to_json(config), indent=2))
    return 0
