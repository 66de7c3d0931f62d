"""Train a model: `sparsetx train experiments/X.py [key.sub=value …] [--run DIR]`.

An existing run resumes from its last checkpoint. SIGTERM saves and exits with 42 (run
the same command again to resume), Ctrl-C saves and exits with 130.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparsetx.cli.experiment import EXPERIMENT_HELP

if TYPE_CHECKING:
    from sparsetx.config import RunConfig
    from sparsetx.training import speed
    from sparsetx.training.launch import Described, Launch


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help=EXPERIMENT_HELP)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key.sub=value",
        help="changes to the configuration, e.g. train.steps=2000",
    )
    parser.add_argument(
        "--run", metavar="DIR", help="the run's folder (default: runs/NAME-OF-THE-FILE)"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="KEY",
        help="resume although this key changed, e.g. optim.lr or data; may be repeated",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.cli import experiment
    from sparsetx.cli.progress import ProgressLine, clock
    from sparsetx.run import checkpoints
    from sparsetx.system import files, hosts
    from sparsetx.training import launch, loop

    hosts.start(args.stop)
    config = experiment.load(args.experiment, args.overrides)
    place = Path(args.experiment)
    name = place.parent.name if place.name == "config.json" else place.stem
    path = files.place(args.run) if args.run else Path("runs") / name
    line = ProgressLine()

    def notice(text: str) -> None:
        line.close()
        print(f"warning: {text}", file=sys.stderr)

    with launch.opened(config, path, args.allow, line, notice) as ready:
        if hosts.is_first_host():
            print(describe(ready))
        try:
            state = ready.train(args.stop, line, yardstick(ready, notice))
        except (loop.Diverged, checkpoints.Unsaved) as error:
            line.close()
            print(f"sparsetx train: {error}", file=sys.stderr)
            return 1
        finally:
            line.close()
    done, steps = int(state.step), config.train.steps
    if hosts.is_first_host():
        print(ending(path, done, steps, int(state.skipped), clock(line.elapsed)))
    return args.stop.code if done < steps else 0


def yardstick(
    ready: "Launch", notice: Callable[[str], None]
) -> "speed.Yardstick | None":
    """What the first host holds the run's speed against, on chips whose peak is known;
    never a reason to stop."""
    from sparsetx.aot import topology
    from sparsetx.system import hosts

    here = topology.attached(list(ready.devices.devices.flat))
    if here is None or not hosts.is_first_host():
        return None
    from sparsetx.aot import program, roofline

    try:
        step = program.attached(ready.config, ready.devices)
    except Exception as error:  # another compiler may write what is not understood
        notice(f"the compiled step could not be counted ({error!r}): no least time")
        step = None
    return roofline.yardstick(ready.config, here, step)


def describe(ready: "Launch") -> str:
    """The resolved configuration, and the table of parameters."""
    from sparsetx.training import launch

    at = f", going on at step {ready.step:,}" if ready.step else ""
    lines = [f"{ready.path}{at}", *settings(ready.config), ""]
    rows = launch.described(ready.config, ready.devices)
    count = sum(row.bytes // 4 for row in rows)
    left = sum(row.bytes // 4 * row.kept for row in rows)
    total = f"  {count:,} parameters, {left:,.0f} kept in the end"
    return "\n".join([*lines, *parameters(rows), total])


def parameters(rows: Sequence["Described"]) -> list[str]:
    """The table of parameters: shape, sharding, sizes and final kept fraction."""
    cells = [("parameter", "shape", "cut over", "MB", "a device", "kept")]
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        sizes = f"{row.bytes / 1e6:.2f}", f"{row.bytes / row.parts / 1e6:.2f}"
        cells.append((row.name, shape, row.sharding, *sizes, f"{row.kept:.4g}"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = "<<<>>>"
    return [
        "  "
        + "  ".join(f"{x:{s}{w}}" for x, s, w in zip(cell, sides, widths, strict=True))
        for cell in cells
    ]


def settings(config: "RunConfig") -> list[str]:
    """The configuration, one paragraph per section."""
    from sparsetx.system import fields

    sections: dict[str, list[str]] = {}
    for path, value in fields.leaves(config):
        section, _, key = path.rpartition(".")
        sections.setdefault(section, []).append(f"{key}={fields.shown(value)}")
    return [
        textwrap.fill(
            f"{section + ':' if section else 'run:':<10} {' '.join(words)}",
            width=88,
            initial_indent="  ",
            subsequent_indent=" " * 13,
        )
        for section, words in sections.items()
    ]


def ending(path: Path, done: int, steps: int, skipped: int, spent: str) -> str:
    """The last lines: how the run ended, and the next command."""
    bad = f", {skipped} of them not finite and skipped" if skipped else ""
    if done < steps:
        return f"stopped at step {done:,} of {steps:,}{bad}, saved in {path}"
    return (
        f"{done:,} steps{bad} in {spent}, saved in {path}\n"
        f"next: sparsetx eval {path} --tasks"
    )
