"""Runs the requested controls: an entry for each."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sparsetx.circuits.controls import nonsense, random_weights, seeds, thresholds
from sparsetx.circuits.controls.ablation_kinds import ablation_kinds
from sparsetx.circuits.controls.adversary import adversary
from sparsetx.circuits.controls.entry import Entry, not_run
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.controls.frozen_norms import frozen_norms
from sparsetx.circuits.controls.interchange import interchange
from sparsetx.circuits.controls.mib_curve import curve
from sparsetx.circuits.controls.necessity import necessity
from sparsetx.circuits.controls.relaxation import relaxation
from sparsetx.circuits.controls.repeated_search import Searches
from sparsetx.circuits.controls.role_agreement import roles
from sparsetx.circuits.controls.stochastic import stochastic
from sparsetx.circuits.controls.test_pool import unseen
from sparsetx.system import fields
from sparsetx.system.errors import Refusal, refuse_all

QUICK: Mapping[str, Callable[[Evidence], Entry]] = {
    thresholds.FROZEN_NORMS: frozen_norms,
    thresholds.TEST_POOL: unseen,
    thresholds.STOCHASTIC: stochastic,
    thresholds.NECESSITY: necessity,
    thresholds.ABLATION_KINDS: ablation_kinds,
    thresholds.INTERCHANGE: interchange,
    thresholds.ROLES: roles,
    thresholds.RELAXATION: relaxation,
    thresholds.ADVERSARY: adversary,
    thresholds.CURVE: curve,
}


@dataclass(frozen=True)
class Asked:
    """Which controls to run, and how many searches those that search do."""

    names: Sequence[str] = thresholds.NAMES
    seeds: int = seeds.SEEDS
    redraws: int = random_weights.REDRAWS
    searches: Searches = field(default_factory=Searches)

    def count(self, name: str) -> int | None:
        """The number of searches of a control; None for one that does not search."""
        return {
            thresholds.RANDOM_WEIGHTS: self.redraws,
            thresholds.NONSENSE: self.redraws,
            thresholds.SEEDS: self.seeds,
        }.get(name)


def named(text: str) -> list[str]:
    """Parse names with commas between them; in the order of the controls."""
    wanted = [name.strip() for name in text.split(",")]
    refuse_all(
        "these are no controls",
        [
            f"{n!r}: {fields.near(n, thresholds.NAMES)}"
            for n in wanted
            if n not in thresholds.NAMES
        ],
    )
    return [name for name in thresholds.NAMES if name in wanted]


def run(evidence: Evidence, asked: Asked) -> Iterator[Entry]:
    """Run the controls, quick ones first, so that there are results to read early."""
    for name in sorted(asked.names, key=thresholds.SEARCHING.__contains__):
        yield one(evidence, name, asked)


def one(evidence: Evidence, name: str, asked: Asked) -> Entry:
    """Run one control; if it cannot be set up, the entry gives the reason."""
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
        thresholds.RANDOM_WEIGHTS: random_weights.random_weights,
        thresholds.NONSENSE: nonsense.nonsense,
        thresholds.SEEDS: seeds.seeds,
    }[name]
    return search(evidence, asked.searches, asked.count(name) or 0)
