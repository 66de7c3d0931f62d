"""The entry of one control in controls.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.thresholds import Verdict

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Entry:
    """`figure` and `baseline` are named numbers; `data` is what a plot needs."""

    name: str
    verdict: Verdict
    words: str  # one plain sentence
    figure: Figures = field(default_factory=dict)
    baseline: Figures = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    asked: int | None = None  # number of searches, of a control that searches
    seconds: float = 0.0


def not_run(name: str, why: str) -> Entry:
    return Entry(name, thresholds.NOT_RUN, why)


def to_json(entry: Entry) -> dict[str, Any]:
    """As JSON, which has no infinity and no NaN: these become null."""
    found: dict[str, Any] = _plain(vars(entry))
    return found


def from_json(value: Any) -> Entry:
    """Raises TypeError for what `to_json` cannot have written."""
    found = Entry(**value)
    numbers = [*found.figure.values(), *found.baseline.values(), found.seconds]
    if not (
        isinstance(found.data, dict)
        and isinstance(found.words, str)
        and found.verdict in get_args(Verdict)
        and all(x is None or isinstance(x, int | float) for x in numbers)
    ):
        raise TypeError(f"this is not an entry: {found}")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
