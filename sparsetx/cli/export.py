"""Write a run to give away: weights as nonzeros, circuits, no optimiser state.

The folder is read like any run (eval, generate, prune, report, load_run), and its
weights are those of the run, bit for bit. It holds one step, and a sparse model takes a
small part of the room of a checkpoint.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("folder", metavar="DIR", help="the folder to write")
    parser.add_argument("--step", type=int, help="a saved step (default: the last one)")


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits.report.runs_and_circuits import CIRCUITS
    from sparsetx.run import load_run, nonzeros
    from sparsetx.system import files

    run, folder = load_run(args.run, args.step), files.place(args.folder)
    size = nonzeros.export(run.path, run.params, run.step, folder)
    count = circuits(run.path / CIRCUITS, folder / CIRCUITS, args.folder)
    print(
        f"step {run.step:,} of {run.path} is in {folder}: weights of "
        f"{size / 1e6:.1f} MB, {count} circuits"
    )
    return 0


def circuits(source: "Path", target: "Path", run: str) -> int:
    """Copy circuits without the weights, which are the run's; returns their number."""
    import dataclasses

    from sparsetx.circuits import circuit
    from sparsetx.circuits.controls.controls_file import JSON as CONTROLS
    from sparsetx.circuits.facts import REACHED
    from sparsetx.system import files

    found = [p.parent for p in files.inside(source) if p.name == circuit.JSON]
    for own in found:
        facts = circuit.load_facts(own)
        facts = dataclasses.replace(
            facts, model=dataclasses.replace(facts.model, run=run)
        )
        to = target / own.relative_to(source)
        if facts.status == REACHED:
            loaded = dataclasses.replace(circuit.load_circuit(own), facts=facts)
            circuit.save(loaded, to, carried=0)
        else:
            circuit.save_facts(facts, to)
        if (own / CONTROLS).is_file():
            files.write_bytes(to / CONTROLS, (own / CONTROLS).read_bytes())
    return len(found)
