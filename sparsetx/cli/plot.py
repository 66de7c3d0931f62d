"""Draw the training of one run or of several: `sparsetx plot RUN… [-o FILE.png]`.

Loss, kept fraction, learning rate, throughput, kurtosis of the residual and gradient.
"""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE.png",
        help="where to draw (default: training.png in the first run)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import metrics, plots
    from sparsetx.errors import refuse_all
    from sparsetx.run import METRICS

    found = {name: metrics.read(Path(name) / METRICS) for name in args.runs}
    missing = [f"{name}: no rows in {METRICS}" for name in found if not found[name]]
    refuse_all("wanted runs that were trained", missing)
    out = Path(args.out) if args.out else Path(args.runs[0]) / "training.png"
    plots.training(found, out)
    print(out)
    return 0
