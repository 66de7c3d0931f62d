"""Refusal: the exception for input that cannot be used.

A `Refusal` is an error that the user can correct: the command line prints its message
without a traceback and exits with 2. Any other exception is a bug in sparsetx, and
keeps its traceback.
"""

from collections.abc import Iterable


class Refusal(ValueError):
    """Bad input. The message says what was wanted and given, where, and what to do."""


def refuse_all(what: str, offences: Iterable[str]) -> None:
    """Raise one Refusal that lists every offence; do nothing if there is none."""
    offences = list(offences)
    if offences:
        raise Refusal(f"{what}:\n" + "\n".join(f"  - {line}" for line in offences))
