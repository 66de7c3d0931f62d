"""Look into a run: its steps, and what is kept of each matrix and for each neuron."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.density import Density


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx import checkpoint, density, files
    from sparsetx.cli.train import settings
    from sparsetx.run import ENVIRONMENT, load_run

    run = load_run(args.run, args.step)
    saved = checkpoint.steps(run.path)
    print(f"{run.path}, step {run.step:,} (saved: {', '.join(map(str, saved))})")
    print("\n".join(settings(run.config)))
    if (run.path / ENVIRONMENT).exists():
        facts = files.read_json(run.path / ENVIRONMENT, "a run's environment")
        print(f"  data:      fingerprint {facts['data']}")
        for start in facts["starts"]:
            where = (
                f"{start['devices']}, {start['hosts']} host(s), code {start['code']}"
            )
            print(f"  started:   {start['time']} at step {start['step']:,} on {where}")
    rows = density.report(run.config.model, run.params)
    print("\n" + table(rows))
    return 0


def table(rows: list["Density"]) -> str:
    """Nonzero entries of each parameter and layer, and per neuron."""
    wide = max(len(row.name) for row in rows)
    head = "layer    nonzero  fraction   per neuron: least median   most   dead"
    lines = [f"  {'parameter':<{wide}}  {head}"]
    for row in rows:
        layer = "" if row.layer is None else row.layer
        line = (
            f"  {row.name:<{wide}}  {layer!s:>5} {row.nonzero:>10,} {row.fraction:9.4f}"
        )
        if (own := row.neurons) is not None:
            line += (
                f" {own.least:>18,} {own.median:>6,.0f} {own.most:>6,} {own.dead:>6,}"
            )
        lines.append(line)
    size, left = sum(r.size for r in rows), sum(r.nonzero for r in rows)
    lines.append(f"  {left:,} of {size:,} parameters are not zero")
    return "\n".join(lines)
