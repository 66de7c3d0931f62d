"""Progress reports: the interface between long computations and what displays them.

Nothing here prints. A long computation takes a reporter as an argument and calls it
with a `Progress`; the reporter decides how and how often to show it. The command line's
reporter is cli/progress.py; a notebook or a test passes its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a stage; `figures` (as a loss) are shown too."""

    stage: str
    done: float
    total: float
    unit: str
    figures: Mapping[str, float | str] = field(default_factory=dict)


Reporter = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A reporter that shows nothing."""
