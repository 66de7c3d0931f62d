"""Rows of the text that a run is validated on: what is not of a task."""

from typing import Any

import numpy.typing as npt

from sparsetx.data import batches
from sparsetx.data.loader import Loader
from sparsetx.run import Run, provenance
from sparsetx.system.errors import Refusal


def tokens(run: Run, rows: int, length: int) -> npt.NDArray[Any] | None:
    """[rows, length] tokens, or None where the run's data is not here, or too short."""
    fingerprint = provenance.data_fingerprint(run.path)
    found = batches.opened(run.config, fingerprint) if fingerprint else None
    if found is None:
        return None
    try:
        return Loader(found.split("validation"), length, rows).rows(0)[:, :length]
    except Refusal:
        return None
