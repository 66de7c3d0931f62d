"""What sparsetx raises when it is given something that it cannot use.

A `Refusal` is the user's to mend: the command line prints its message, without a
traceback, and exits with 2. Any other exception is ours, and keeps its traceback.
"""

from collections.abc import Iterable


class Refusal(ValueError):
    """Input refused. The message says what was wanted, what came, where, what to do."""


def refuse_all(what: str, offences: Iterable[str]) -> None:
    """Raise one Refusal that lists every offence; do nothing when there is none."""
    offences = list(offences)
    if offences:
        raise Refusal(f"{what}:\n" + "\n".join(f"  - {line}" for line in offences))
