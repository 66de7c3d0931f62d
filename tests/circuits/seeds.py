"""Prints how often a search finds the compiled circuit, over twenty seeds.

python -m tests.circuits.seeds
"""

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.search import pruning
from sparsetx.circuits.search.pruning import Aim, Effort
from tests.circuits import compiled
from tests.circuits.search.test_pruning import case

SEEDS = 20
EFFORT = Effort(rounds=((8, 200), (4, 300)), pairs=32, finalists=2)


def main() -> None:
    config = compiled.CONFIG
    params = jax.tree.map(jnp.asarray, compiled.params())
    means = ablations.means(config, params, compiled.corpus())
    true = {site: np.asarray(x) for site, x in compiled.mask().items()}
    wanted = nodes.flatten(config, true) > 0
    for honest in (0.0, 1.0):
        exact = reached = 0
        for seed in range(SEEDS):
            aim = Aim(honest=honest, seed=seed, effort=EFFORT)
            cases = [case("quotes", 1 + seed)]
            (found,) = pruning.prune(config, params, means, cases, aim, memory=4e9)
            reached += found.chosen.reached
            exact += bool((found.chosen.mask == wanted).all())
        kind = "honest" if honest else "plain"
        print(
            f"{kind}: {exact} of {SEEDS} seeds find the 11 nodes and 9 edges, "
            f"{reached} reach the target",
            flush=True,
        )


if __name__ == "__main__":
    main()
