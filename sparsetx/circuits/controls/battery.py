"""The battery: one entry for each of the controls that are asked for."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sparsetx import fields
from sparsetx.circuits.controls import again, table
from sparsetx.circuits.controls.adversary import adversary
from sparsetx.circuits.controls.curve import curve
from sparsetx.circuits.controls.entry import Entry, not_run
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.controls.interchange import interchange
from sparsetx.circuits.controls.kinds import ablation_kinds
from sparsetx.circuits.controls.necessity import necessity
from sparsetx.circuits.controls.norms import frozen_norms
from sparsetx.circuits.controls.relaxation import relaxation
from sparsetx.circuits.controls.roles import roles
from sparsetx.circuits.controls.searches import Searches
from sparsetx.circuits.controls.stochastic import stochastic
from sparsetx.circuits.controls.unseen import unseen
from sparsetx.errors import Refusal, refuse_all

QUICK: Mapping[str, Callable[[Evidence], Entry]] = {
    table.FROZEN_NORMS: frozen_norms,
    table.TEST_POOL: unseen,
    table.STOCHASTIC: stochastic,
    table.NECESSITY: necessity,
    table.ABLATION_KINDS: ablation_kinds,
    table.INTERCHANGE: interchange,
    table.ROLES: roles,
    table.RELAXATION: relaxation,
    table.ADVERSARY: adversary,
    table.CURVE: curve,
}


@dataclass(frozen=True)
class Asked:
    """Which controls, and how often those that search do."""

    names: Sequence[str] = table.NAMES
    seeds: int = again.SEEDS
    redraws: int = again.REDRAWS
    searches: Searches = field(default_factory=Searches)

    def count(self, name: str) -> int | None:
        """Of the searches of a control; None where it has none."""
        return {
            table.RANDOM_WEIGHTS: self.redraws,
            table.NONSENSE: self.redraws,
            table.SEEDS: self.seeds,
        }.get(name)


def named(text: str) -> list[str]:
    """Names with commas between them, in the table's order."""
    wanted = [name.strip() for name in text.split(",")]
    refuse_all(
        "these are no controls",
        [
            f"{n!r}: {fields.near(n, table.NAMES)}"
            for n in wanted
            if n not in table.NAMES
        ],
    )
    return [name for name in table.NAMES if name in wanted]


def run(evidence: Evidence, asked: Asked) -> Iterator[Entry]:
    """The quick ones first: who waits has something to read."""
    for name in sorted(asked.names, key=table.SEARCHING.__contains__):
        yield one(evidence, name, asked)


def one(evidence: Evidence, name: str, asked: Asked) -> Entry:
    """One control; one that cannot be set up says why."""
    began = time.monotonic()
    try:
        found = _found(evidence, name, asked)
    except Refusal as refusal:
        found = not_run(name, str(refusal).splitlines()[0])
    return dataclasses.replace(
        found, asked=asked.count(name), seconds=round(time.monotonic() - began, 1)
    )


def _found(evidence: Evidence, name: str, asked: Asked) -> Entry:
    if name in QUICK:
        return QUICK[name](evidence)
    search = {
        table.RANDOM_WEIGHTS: again.random_weights,
        table.NONSENSE: again.nonsense,
        table.SEEDS: again.seeds,
    }[name]
    return search(evidence, asked.searches, asked.count(name) or 0)
