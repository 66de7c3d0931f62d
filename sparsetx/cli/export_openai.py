"""Save a run's model in the format of the released models.

Writes final_model.pt, with the exact weights, and beeg_config.json. Needs torch:
pip install 'sparsetx[torch]'.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("folder", metavar="DIR", help="the folder to write")
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx import openai_format
    from sparsetx.run import load_run

    run = load_run(args.run, args.step)
    openai_format.save(args.folder, run.config.model, run.params)
    print(f"step {run.step:,} of {args.run} is in {args.folder}")
    return 0
