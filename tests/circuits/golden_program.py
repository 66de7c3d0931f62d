"""The compiled model's circuit as a program: writes experiments/results."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from sparsetx.circuits import facts
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.program import numpy_program
from sparsetx.tasks.pairs import Pairs
from tests.circuits.explain.test_descriptions import token
from tests.circuits.test_circuit import ASKED, made

PATH = Path(__file__).parents[2] / "experiments" / "results" / "quotes_by_hand.py"


def as_pairs(asked: Any, one_token: bool = False) -> Pairs:
    """A question as pairs, on which a program is checked."""
    rows = map(
        np.asarray, (asked.tokens_BL, asked.position_B, asked.answers_B2, asked.sign_B)
    )
    return Pairs("quotes", "test", *rows, (None,) * (len(asked) // 2), one_token)  # type: ignore[arg-type]


def own() -> Circuit:
    """The circuit, uncalibrated: then its numbers are the same on every machine."""
    model = dataclasses.replace(made().facts.model, run="")
    return made(model=model, calibration=facts.Calibration())


def program() -> numpy_program.Program:
    return numpy_program.written(own(), as_pairs(ASKED), token)


if __name__ == "__main__":
    PATH.write_text(program().text)
