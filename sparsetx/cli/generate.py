"""Generate text with a run's model: `sparsetx generate RUN --prompt 'def f(x):'`."""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--prompt", required=True, metavar="TEXT", help="text to continue"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=64,
        metavar="N",
        help="most tokens to generate (default: 64)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0: the most likely token; 1: drawn by its probability (default: 0)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed, used above temperature 0"
    )
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx.run import load_run

    run = load_run(args.run, args.step)
    text = run.generate(args.prompt, args.tokens, args.temperature, args.seed)
    print(args.prompt + text)
    return 0
