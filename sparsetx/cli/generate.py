"""Let a run's model write: `sparsetx generate RUN --prompt 'def area(w, h):'`."""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--prompt", required=True, metavar="TEXT", help="what it begins"
    )
    parser.add_argument(
        "--tokens", type=int, default=64, metavar="N", help="at most (default: 64)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0: the likeliest token each time; 1: as the model believes (default: 0)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the draws above temperature 0"
    )
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx.run import load_run

    run = load_run(args.run, args.step)
    text = run.generate(args.prompt, args.tokens, args.temperature, args.seed)
    print(args.prompt + text)
    return 0
