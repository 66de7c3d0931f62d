"""Write a run's model as a released folder (final_model.pt, beeg_config.json).

Weights are written bit for bit. Needs torch: pip install 'sparsetx[torch]'.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("folder", metavar="DIR", help="the new released folder")
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx import openai_format
    from sparsetx.run import load_run

    run = load_run(args.run, args.step)
    openai_format.save(args.folder, run.config.model, run.params)
    print(f"step {run.step:,} of {args.run} is in {args.folder}")
    return 0
