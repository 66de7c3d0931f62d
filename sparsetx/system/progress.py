"""Progress: how far a long stage is, as it says so itself.

Nothing here prints. A stage is given a reporter (the command line makes one, a
notebook or a test another) and calls it with a `Progress`; the reporter decides how,
and how often, a person sees it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a stage; `figures` are what is worth reading now."""

    stage: str
    done: float
    total: float
    unit: str
    figures: Mapping[str, float | str] = field(default_factory=dict)


Reporter = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """The reporter of a caller who does not want to hear."""
