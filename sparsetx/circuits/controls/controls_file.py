"""Reads and writes controls.json beside a circuit: an entry for every control.

Entries of another circuit, or with verdicts by other thresholds, are not used again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsetx.circuits.controls import entry, thresholds
from sparsetx.circuits.controls.battery import Asked
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.facts import Facts
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal

JSON, VERSION = "controls.json", 1
Found = dict[str, Entry]


def fingerprint(facts: Facts) -> str:
    """A hash of a circuit: its nodes, its model, and the settings of its search."""
    whole = [facts.model.hash, facts.nodes, fields.to_json(facts.search)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def load(folder: Path, facts: Facts) -> tuple[Found, dict[str, Any] | None]:
    """Entries that exist for this circuit, and the figures of its binarisation."""
    path = folder / JSON
    if not path.is_file():
        return {}, None
    try:
        told = files.read_json(path, "controls")
        if _compared(told) != _compared(_head(facts)):
            return {}, None
        each = [entry.from_json(value) for value in told["controls"]]
    except (Refusal, KeyError, TypeError, AttributeError):
        return {}, None  # damaged, or of another version: made again
    return {e.name: e for e in each if e.name in thresholds.NAMES}, told.get(
        "binarised"
    )


def save(
    folder: Path, facts: Facts, found: Mapping[str, Entry], binarised: Any = None
) -> None:
    entries = [
        found.get(name) or entry.not_run(name, "It was not asked for.")
        for name in thresholds.NAMES
    ]
    told = _head(facts) | {"controls": [entry.to_json(e) for e in entries]}
    if binarised is not None:
        told["binarised"] = binarised
    files.write_json(folder / JSON, told)


def done(found: Mapping[str, Entry], name: str, asked: Asked) -> bool:
    """Whether an entry exists for the same number of searches."""
    own = found.get(name)
    if own is None or own.verdict == thresholds.NOT_RUN:
        return False
    return own.asked == asked.count(name)


def _compared(told: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for entries to be used again: all but the reasons' wording."""
    bars = {
        name: {key: x for key, x in bar.items() if key != "why"}
        for name, bar in told["bars"].items()
    }
    keys = ("version", "task", "kind", "circuit")
    return {key: told[key] for key in keys} | {"bars": bars}


def _head(facts: Facts) -> dict[str, Any]:
    bars = {
        name: {"passes": bar.passes, "weak": bar.weak, "low": bar.low, "why": bar.why}
        for name, bar in thresholds.BARS.items()
    }
    return {
        "version": VERSION,
        "task": facts.task,
        "kind": facts.search.kind,
        "circuit": fingerprint(facts),
        "bars": bars,
    }
