"""Draw the training of one run or of several: `sparsetx plot RUN… [-o FILE.png]`.

Loss, kept fraction, learning rate, throughput, kurtosis of the residual and gradient.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.png",
        help="where to draw (default: training.png in the first run)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import files, metrics, plots
    from sparsetx.errors import refuse_all
    from sparsetx.run import METRICS

    found = {name: metrics.read(files.place(name) / METRICS) for name in args.runs}
    missing = [f"{name}: no rows in {METRICS}" for name in found if not found[name]]
    refuse_all("wanted runs that were trained", missing)
    out = files.place(args.out or files.place(args.runs[0]) / "training.png")
    plots.training(found, out)
    print(out)
    return 0
