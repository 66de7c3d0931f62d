"""Test circuits with thirteen controls, each with a figure, a baseline and a verdict.

Ten are quick: they evaluate the circuit and its model. Three repeat the circuit's
search, with random weights, a nonsense task and other seeds, and take as long as it for
each. Results are saved in CIRCUIT/controls.json as they are found: to resume after a
kill, start the command again.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sparsetx.circuits.controls.battery import Asked
    from sparsetx.circuits.controls.entry import Entry
    from sparsetx.cli.progress import ProgressLine


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("circuits", nargs="+", metavar="CIRCUIT", help="folders of circuits")
    add("--only", metavar="A,B", help="run these controls (default: all)")
    add(
        "--quick",
        action="store_true",
        help="run only the controls that do not repeat the search",
    )
    add(
        "--seeds",
        type=int,
        default=20,
        metavar="N",
        help="searches with other seeds (default: 20)",
    )
    add(
        "--redraws",
        type=int,
        default=3,
        metavar="N",
        help="random models, and nonsense tasks, to search (default: 3)",
    )
    add(
        "--again",
        action="store_true",
        help="also run controls that have results already",
    )
    add(
        "--binarise",
        action="store_true",
        help="also test how many nodes can be limited to two values each",
    )
    add("--task-file", metavar="F.jsonl", help="the pairs, if the task is your own")
    add(
        "--memory",
        type=float,
        metavar="GB",
        help="memory for lanes (default: half of all)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.system import hosts

    hosts.device_per_core()
    from sparsetx.circuits.controls import evidence_files
    from sparsetx.cli.progress import ProgressLine

    asked = wanted(args)
    folders = [evidence_files.checked(path) for path in args.circuits]
    line, found = ProgressLine(), {}
    length = shared_length(folders, args.task_file)
    for folder in folders:
        if not evidence_files.has_circuit(folder):
            print(f"{folder}: its search found no circuit; there is nothing to test")
            continue
        found[folder] = one(folder, args, asked, line, length)
    if found:
        show(found)
    return 0


def shared_length(folders: "list[Path]", task_file: str | None) -> int | None:
    """Of the prompts of several circuits of one model, which then share programs."""
    from sparsetx.circuits import circuit
    from sparsetx.circuits.controls import evidence_files

    own = [folder for folder in folders if evidence_files.has_circuit(folder)]
    models = {circuit.load_facts(folder).model.hash for folder in own}
    if len(own) < 2 or len(models) > 1:
        return None
    return evidence_files.length_of(own, task_file)


def wanted(args: argparse.Namespace) -> "Asked":
    import math

    from sparsetx.circuits.controls import battery, thresholds
    from sparsetx.circuits.controls.battery import Asked
    from sparsetx.system.errors import refuse_all

    offences = [
        f"--{name} {getattr(args, name)}: wanted more than 0"
        for name in ("seeds", "redraws", "memory")
        if getattr(args, name) is not None and not 0 < getattr(args, name) < math.inf
    ]
    refuse_all("these cannot be used", offences)
    names = battery.named(args.only) if args.only else list(thresholds.NAMES)
    if args.quick:
        names = [name for name in names if name in thresholds.QUICK]
    return Asked(names, args.seeds, args.redraws)


def one(
    folder: "Path", args: argparse.Namespace, asked: "Asked", line: "ProgressLine",
    length: int | None,
) -> "Mapping[str, Entry]":  # fmt: skip
    """The results of one circuit's controls, those computed now and those on disk."""
    import dataclasses

    from sparsetx.circuits import circuit
    from sparsetx.circuits.controls import battery, controls_file, evidence_files
    from sparsetx.circuits.controls.repeated_search import Searches
    from sparsetx.circuits.facts import ladder_line
    from sparsetx.system import lock

    facts = circuit.load_facts(folder)
    with lock.held(folder):
        found, binarised = controls_file.load(folder, facts)
        left = [
            name
            for name in asked.names
            if args.again or not controls_file.done(found, name, asked)
        ]
        print(f"{folder}: {facts.task}, {facts.search.kind}")
        print(f"  holds under: {ladder_line(facts)}", flush=True)
        if not left and not (args.binarise and (args.again or binarised is None)):
            return found
        evidence = evidence_files.of_circuit(folder, line, args.task_file, length)
        place = folder / evidence_files.FOLDER / "searches.json"
        memory = args.memory and args.memory * 1e9
        kept = Searches(place, controls_file.fingerprint(facts), memory)
        if args.again:
            kept.forget(left)
        own = dataclasses.replace(asked, names=left, searches=kept)
        for entry in battery.run(evidence, own):
            found = {**found, entry.name: entry}
            controls_file.save(folder, facts, found, binarised)
            line.close()
            print(f"  {entry.name:<15} {entry.verdict:<12} {entry.words}", flush=True)
        if args.binarise and (args.again or binarised is None):
            from sparsetx.circuits.controls import binarisation

            binarised = binarisation.told(binarisation.binarise(evidence))
            controls_file.save(folder, facts, found, binarised)
            line.close()
            print(f"  {binarisation.words(binarised)}", flush=True)
    return found


def show(found: "Mapping[Path, Mapping[str, Entry]]") -> None:
    """A row for each control, a column for each circuit."""
    from sparsetx.circuits.controls import thresholds

    print()
    for number, folder in enumerate(found, 1):
        print(f"[{number}] {folder}")
    head = "".join(f"  {f'[{number}]':<22}" for number in range(1, len(found) + 1))
    print(f"{'control':<15}{head.rstrip()}")
    for name in thresholds.NAMES:
        cells = "".join(f"  {cell(own.get(name)):<22}" for own in found.values())
        print(f"{name:<15}{cells.rstrip()}")
    seconds = [sum(e.seconds for e in own.values()) for own in found.values()]
    print(f"{'seconds':<15}" + "".join(f"  {s:<22.0f}" for s in seconds).rstrip())


def cell(entry: "Entry | None") -> str:
    """A verdict and its first figure."""
    if entry is None:
        return "not run"
    figure = next(iter(entry.figure.values()), None)
    return entry.verdict if figure is None else f"{entry.verdict} {figure:.3g}"
