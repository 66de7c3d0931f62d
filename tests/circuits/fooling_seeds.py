"""Prints how often searches find the circuits of the models built to fool them.

python -m tests.circuits.fooling_seeds ["MODEL" …]
"""

import sys

from tests.circuits.compiled_models.trial import KINDS, MODELS, Trial

SEEDS = 20


def main() -> None:
    print(f"Acceptable circuits of {SEEDS}; in brackets, those that are smallest\n")
    print(f"| model | {' | '.join(KINDS)} |")
    print("|---|" + "---|" * len(KINDS))
    for name in sys.argv[1:] or MODELS:
        print(f"| {name} | {' | '.join(row(name))} |", flush=True)


def row(name: str) -> list[str]:
    """For each kind, how many of the circuits found are acceptable."""
    trial, cells = Trial(MODELS[name]), []
    for kind in KINDS:
        found = [trial.search(kind, seed) for seed in range(SEEDS)]
        fit = sum(map(trial.made.accepts, found))
        least = sum(kept in trial.made.smallest for kept in found)
        cells.append(f"{fit} ({least})")
    return cells


if __name__ == "__main__":
    main()
