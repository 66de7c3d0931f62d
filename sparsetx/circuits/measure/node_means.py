"""The mean of every node over training text, cached for each model.

Mean ablation replaces all nodes outside a circuit by these. They are computed once for
a model and stored beside its circuits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import ablations
from sparsetx.data.batches import open_data
from sparsetx.data.loader import Loader
from sparsetx.nodes import Nodes
from sparsetx.run import Run, params_hash, provenance
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Reporter

MEAN = "mean/"  # before a site's name, in archives
TOKENS = 200_000
ROWS = 32  # sequences in a batch
SITES = (*nodes.NODE_SITES, nodes.FINAL)


@dataclass(frozen=True)
class Means:
    values: Nodes  # of every site that a mask may have
    tokens: int
    hash: str

    def of(self, sites: Sequence[str]) -> Nodes:
        return {site: self.values[site] for site in sites}


def of_run(run: Run, folder: Path, report: Reporter) -> Means:
    """From the folder's cache, or else computed and stored there."""
    config = run.config.model
    batches = max(1, -(-TOKENS // (ROWS * config.context)))
    tokens = batches * ROWS * config.context
    path = folder / f"means-{params_hash(run.params)}.npz"
    values = _cached(run, path)
    if values is None:
        fingerprint = provenance.data_fingerprint(run.path)
        data = open_data(run.config, report, fingerprint)
        rows = Loader(data.split("train"), config.context, ROWS, run.config.seed)
        tokens_NBL = np.stack([rows.rows(n)[:, :-1] for n in range(batches)])
        found = ablations.means(config, run.params, jnp.asarray(tokens_NBL), SITES)
        values = {site: np.asarray(x) for site, x in jax.device_get(found).items()}
        files.write_arrays(path, {MEAN + site: x for site, x in values.items()})
    return Means(values, tokens, _hash(values))


def _cached(run: Run, path: Path) -> dict[str, np.ndarray] | None:
    if not path.is_file():
        return None
    shapes = nodes.shapes(run.config.model, SITES)
    most = 4 * sum(int(np.prod(shape)) for shape in shapes.values()) + 100_000
    try:
        found = files.read_arrays(path, "cached means", most)
    except Refusal:
        return None  # damaged: it is computed again
    values = {site: found.get(MEAN + site) for site in SITES}
    whole = {
        site: x
        for site, x in values.items()
        if x is not None and x.shape == shapes[site] and np.isfinite(x).all()
    }
    return whole if len(whole) == len(SITES) else None


def _hash(values: Nodes) -> str:
    digest = hashlib.sha256()
    for site in SITES:
        digest.update(np.ascontiguousarray(values[site]).tobytes())
    return digest.hexdigest()[:16]
