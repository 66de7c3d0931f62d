"""Evidence for tests of controls: the compiled model, its variants, wrong circuits.

python -m tests.circuits.trials [--searches]     prints all verdicts
"""

import functools
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.controls import battery, thresholds
from sparsetx.circuits.controls.battery import Asked
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.controls.necessity import others_like
from sparsetx.circuits.facts import Search
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import attribution
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.circuits.search.judge import Judge
from sparsetx.config import ModelConfig
from tests.circuits import broken, compiled

ANSWERS = [compiled.CLOSE_DOUBLE, compiled.CLOSE_SINGLE]
# Enough to find the known circuit; a tenth of what the demo searches.
SEARCH = Search(rounds=("4 x 75", "2 x 75"), pairs=16, finalists=1)
KNOWN = "the compiled model"
TWIN = "twin head"
SINKS = {"sink crutch": broken.sink_crutch, "sink head": broken.sink_head}
REJECTED = (
    "norm crutch",
    "cancelling pair",
    "sink crutch",
    "sink head",
    "weights permuted",
    "random nodes",
    "nonsense labels",
)


def evidence(
    params: Any,
    keep: dict[str, Any],
    config: ModelConfig = compiled.CONFIG,
    labelled: Any = lambda asked: asked,
    name: str = "quotes",
) -> Evidence:
    params = jax.tree.map(jnp.asarray, params)
    remeasure = functools.partial(_means, config)

    def task(pairs: int, seed: int) -> Task:
        asked = labelled(compiled.question(pairs, seed))
        return Task(asked, ablations.norm_scales(config, params, asked))

    return Evidence(
        Subject(config, params, remeasure(params), keep),
        task(128, 1),
        task(32, 51),
        task(32, 0),
        np.zeros(32, bool),
        ANSWERS,
        SEARCH,
        name,
        remeasure,
    )


def _means(config: ModelConfig, params: Any) -> Any:
    return ablations.means(config, params, compiled.corpus())


def random_nodes(seed: int = 0) -> dict[str, Any]:
    """Other nodes, as many at each site of each layer as in the known circuit."""
    keep = {site: np.asarray(x) for site, x in compiled.mask().items()}
    return others_like(keep, np.random.default_rng(seed))


def by_length(asked: Question) -> Question:
    """Arbitrary labels: the right answer depends on the length of the prompt."""
    odd_B = np.asarray(asked.position_B) % 2
    answer_B2 = np.array(ANSWERS)[np.stack([odd_B, 1 - odd_B], 1)]
    return Question(
        asked.tokens_BL, asked.position_B, jnp.asarray(answer_B2, jnp.int32),
        asked.sign_B, asked.open,
    )  # fmt: skip


def ranked_for(labelled: Any) -> dict[str, Any]:
    """As many nodes as in the known circuit, ranked by attribution for other labels."""
    whole = evidence(compiled.params(), compiled.mask(), labelled=labelled)
    judge = Judge(whole.config, whole.params, whole.means, whole.val, honest=False)
    score = nodes.flatten(whole.config, attribution.scores(judge))
    mask = np.zeros(len(score), np.float32)
    mask[np.argsort(-score, kind="stable")[: len(compiled.CIRCUIT)]] = 1
    return nodes.unflatten(whole.config, mask)


def made(name: str) -> Evidence:
    known = compiled.mask()
    if name in SINKS:
        keep = compiled.mask(broken.SINK_CIRCUIT)
        return evidence(SINKS[name](), keep, broken.SINK_CONFIG)
    if name == "random nodes":
        return evidence(compiled.params(), random_nodes())
    if name == "nonsense labels":
        keep = ranked_for(by_length)
        return evidence(compiled.params(), keep, labelled=by_length)
    params = {
        KNOWN: compiled.params,
        "norm crutch": broken.norm_crutch,
        "cancelling pair": broken.cancelling_pair,
        "weights permuted": functools.partial(broken.permuted, 2),
        TWIN: broken.twin_head,
    }[name]
    return evidence(params(), known)


def entries(name: str, names: Any = thresholds.QUICK) -> Iterator[Entry]:
    yield from battery.run(made(name), Asked(names, seeds=4))


def main() -> None:
    names = thresholds.NAMES if "--searches" in sys.argv else thresholds.QUICK
    asked = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    for name in asked or (KNOWN, TWIN, *REJECTED):
        found = list(entries(name, names))
        bad = [e.name for e in found if e.verdict == thresholds.FAIL]
        print(f"\n{name}: {len(bad)} controls fail ({', '.join(bad)})", flush=True)
        for entry in found:
            print(f"  {entry.name:<15} {entry.verdict:<12} {entry.words}", flush=True)


if __name__ == "__main__":
    main()
