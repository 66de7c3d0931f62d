"""Verify every circuit of a run: report those that are damaged.

A circuit holds the hash of its model, and its archive a checksum of each member.
"""

from collections.abc import Iterator

from sparsetx.circuits import circuit
from sparsetx.circuits.facts import REACHED
from sparsetx.run.verification import Finding
from sparsetx.system import files
from sparsetx.system.errors import Refusal


def circuits(path: files.PathLike) -> Iterator[Finding]:
    """A finding for each circuit in a run's folder, in the order of their paths."""
    folder = files.place(path)
    every = [f for own in sorted(folder.glob("circuits*")) for f in files.inside(own)]
    for file in every:
        if file.name != circuit.JSON:
            continue
        name = str(file.parent.relative_to(folder))
        try:
            facts = circuit.load_facts(file)
            if facts.status == REACHED:
                circuit.load_circuit(file)
            yield Finding(name, facts.status)
        except Refusal as refusal:
            yield Finding(name, str(refusal), False)
