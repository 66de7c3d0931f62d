"""Compile an experiment for a TPU, without a TPU: `sparsetx aot experiments/X.py
--topology v5e-16`. Prints memory, products, exchanges between chips, the least time of
a step, hours and cost. Exit code 1 if it does not fit or a check fails.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sparsetx.cli.experiment import EXPERIMENT_HELP

if TYPE_CHECKING:
    from sparsetx.aot.program import Compiled
    from sparsetx.aot.report import Found
    from sparsetx.aot.topology import Slice
    from sparsetx.config import RunConfig

PROGRAMS = ("train", "eval", "prune", "project")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("experiments", nargs="+", metavar="EXPERIMENT", help=EXPERIMENT_HELP)
    add(
        "--topology", default="v5e-16", metavar="A,B",
        help="TPU slices, by gcloud's names (default: v5e-16)",
    )  # fmt: skip
    add(
        "--programs", default=",".join(PROGRAMS), metavar="A,B",
        help=f"programs to compile (default: {','.join(PROGRAMS)})",
    )  # fmt: skip
    add("--remat", choices=["on", "off"], help="recompute blocks (default: its own)")
    add("--accumulate", type=int, help="parts of a batch (default: its own)")
    add(
        "--mesh",
        metavar="data=N,fsdp=N",
        help="how chips are arranged; auto: the largest fsdp that divides chips and "
        "channels (default: the experiment's own)",
    )
    add(
        "--set", action="append", default=[], metavar="key.sub=value",
        help="changes to the configuration, e.g. train.batch=1024",
    )  # fmt: skip
    add(
        "--price", type=float, metavar="USD",
        help="per chip and hour (default: the list price in tpu/types.tsv)",
    )  # fmt: skip
    add("--length", type=int, help="tokens of a prompt, for prune (default: 64)")
    add("--search", action="store_true", help="find the setting with the shortest step")
    add("--table", action="store_true", help="print only a table, one line per program")


def main(args: argparse.Namespace) -> int:
    # The compiler is in libtpu; JAX itself must not look for a TPU.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from sparsetx.aot import report, topology
    from sparsetx.system.errors import refuse_all

    programs = args.programs.split(",")
    unknown = [f"{p}: wanted some of {', '.join(PROGRAMS)}" for p in programs]
    refuse_all(
        "no such program",
        [text for p, text in zip(programs, unknown, strict=True) if p not in PROGRAMS],
    )
    slices = [topology.find(name) for name in args.topology.split(",")]
    every: list[Found] = []
    fits = True
    for path in args.experiments:
        for here in slices:
            fits &= _one(args, path, here, programs, every)
    if args.table:
        print("\n".join(report.table(every)))
    bad = list(report.offences(every))
    for line in bad:
        print(f"CHECK FAILED: {line}")
    return 0 if fits and not bad else 1


def _one(
    args: argparse.Namespace,
    path: str,
    here: "Slice",
    programs: Sequence[str],
    every: list["Found"],
) -> bool:
    """Compile an experiment for a slice and print; returns whether all programs fit."""
    from sparsetx.aot import report, settings, topology
    from sparsetx.aot.memory import TooLarge

    config = configured(args, path, here)
    name = os.path.basename(path).removesuffix(".py")
    say = _say if args.table else print
    say(f"{name} on {topology.short(here)}: {describe(config, here)}")
    if args.search:
        setting = settings.best(config, here, lambda text: say(f"  tried {text}"))
        say(f"  best of these: {setting.words}")
        config = setting.applied(config)
    if not args.table:
        print("\n".join(laid_out(config, here)))
    price = args.price if args.price is not None else here.price
    priced = "--price" if args.price is not None else here.priced
    fits = True
    for which in programs:
        _say(f"compiling {which}")
        try:
            made = _compiled(args, config, here, which)
        except TooLarge as large:
            print(f"DOES NOT FIT: {name}, {large} a chip on {topology.short(here)}")
            _advise(args, config, here, which)
            fits = False
            continue
        one = report.Found(name, config, here, made, price, priced)
        every.append(one)
        _details(one, say)
    return fits


def _details(one: "Found", say: Callable[[str], None]) -> None:
    from sparsetx.aot import report

    for line in report.details(one):
        say(line)
    if one.bill is not None:
        for line in report.costs(one):
            say(line)


def _say(text: str) -> None:
    """Print to stderr, as progress is: stdout is for the result."""
    print(text, file=sys.stderr, flush=True)


def _compiled(
    args: argparse.Namespace, config: "RunConfig", here: "Slice", which: str
) -> "Compiled":
    from sparsetx.aot import program

    if which == "prune":
        return program.prune(config, here, args.length)
    make = {
        "train": program.training,
        "eval": program.evaluation,
        "project": program.projecting,
    }[which]
    return make(program.target(config, here))


def _advise(
    args: argparse.Namespace, config: "RunConfig", here: "Slice", which: str
) -> None:
    """Print the nearest setting with which a program fits."""
    from sparsetx.aot import settings

    told = settings.advice(
        config, here, which, args.length, lambda text: _say(f"  tried {text}")
    )
    if told is None:
        tried = {"train": "remat, accumulate, fsdp", "prune": "--pairs, --length"}
        print(
            f"{which}: none of the settings tried ({tried.get(which, 'fsdp')}) fits: "
            "take a larger slice"
        )
    else:
        print(f"{which}: the nearest setting that fits: {told}")


def configured(args: argparse.Namespace, path: str, here: "Slice") -> "RunConfig":
    """The experiment's configuration with the changes from the options."""
    from sparsetx.aot import settings
    from sparsetx.cli import experiment
    from sparsetx.system.errors import Refusal

    changes = list(args.set)
    if args.remat:
        changes.append(f"model.remat={'true' if args.remat == 'on' else 'false'}")
    if args.accumulate is not None:
        changes.append(f"train.accumulate={args.accumulate}")
    mesh = args.mesh
    if mesh == "auto":
        mesh = f"fsdp={settings.widest(experiment.load(path, changes), here)}"
    for part in mesh.split(",") if mesh else ():
        axis, _, size = part.partition("=")
        if axis not in ("data", "fsdp") or not size.isdecimal():
            raise Refusal(f"--mesh: wanted data=N,fsdp=N or auto, got {args.mesh!r}")
        changes.append(f"mesh.{axis}={size}")
    return experiment.load(path, changes)


def laid_out(config: "RunConfig", here: "Slice") -> list[str]:
    """The table of parameters and how they are sharded."""
    from sparsetx.aot import program
    from sparsetx.cli import train
    from sparsetx.training import launch

    return train.parameters(
        launch.described(config, program.target(config, here).devices)
    )


def describe(config: "RunConfig", here: "Slice") -> str:
    """Slice, mesh, batch, remat and type in one line."""
    run, sizes = config.train, config.mesh
    data = sizes.data or here.chips // sizes.fsdp
    chips = here.chips
    return (
        f"{chips} chips on {here.hosts} hosts, data {data} x fsdp {sizes.fsdp}; "
        f"{run.batch} x {config.model.context} tokens a step in {run.accumulate} "
        f"part{'s' if run.accumulate > 1 else ''}, "
        f"{run.batch * config.model.context // chips:,} a chip; remat "
        f"{'on' if config.model.remat else 'off'}, {config.model.compute}"
    )
