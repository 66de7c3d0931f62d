"""The union of a model's circuits: what it predicts of text with only their nodes left.

Of validation text, in nats per token: the loss of word frequencies alone, of the model
with every node ablated (what biases and a bigram table predict), of the union of all
tasks' circuits, and of the whole model. As many random nodes of each site say what any
nodes would give.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes
from sparsetx.circuits import circuit
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.facts import REACHED
from sparsetx.circuits.measure import ablations
from sparsetx.config import ModelConfig
from sparsetx.data import loader, token_files
from sparsetx.data.batches import open_data
from sparsetx.data.loader import Loader
from sparsetx.nodes import Nodes
from sparsetx.run import Run, params_hash, provenance
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress, Reporter, silent

REDRAWS = 3
Mask = Mapping[str, npt.NDArray[np.bool_]]  # {site: [layer, width]}


@dataclass(frozen=True)
class Understood:
    """What the union of some circuits keeps of a model."""

    nodes: int
    of: int
    served: Mapping[int, int]  # {number of circuits: nodes that are in so many}
    unigram: float
    nothing: float
    circuits: float
    random: float
    whole: float

    @property
    def share(self) -> float:
        """Of what the model gains over word frequencies."""
        return (self.unigram - self.circuits) / (self.unigram - self.whole)

    @property
    def nodes_share(self) -> float:
        """Of what nodes gain over none: a bigram table alone is no circuit."""
        return (self.nothing - self.circuits) / (self.nothing - self.whole)

    @property
    def random_share(self) -> float:
        return (self.nothing - self.random) / (self.nothing - self.whole)


def circuits_of(run: Run, kind: str) -> dict[str, Circuit]:
    """{task: circuit} of the run's circuits of one kind, in its own folder. Refuses
    none, and those of another step."""
    found, folder, own = {}, run.path / "circuits", params_hash(run.params)
    for file in sorted(folder.rglob(circuit.JSON)):
        told = circuit.load_facts(file.parent)
        if told.search.kind != kind or told.status != REACHED:
            continue
        if told.model.hash != own:
            raise Refusal(
                f"wanted circuits of step {run.step:,} of {run.path}: {file.parent} is "
                f"of {told.model.run}, step {told.model.step:,}"
            )
        found[told.task] = circuit.load_circuit(file.parent)
    if not found:
        raise Refusal(
            f"wanted {kind} circuits in {folder}, found none. To search for them:\n"
            f"    sparsetx prune {run.path}{' --faithful' * (kind == 'faithful')}"
        )
    return found


def of_run(
    run: Run, circuits: Sequence[Circuit], batches: int | None, report: Reporter
) -> Understood:
    """On the first batches of the run's validation split."""
    config = run.config
    data = open_data(config, report, provenance.data_fingerprint(run.path))
    rows = Loader(data.split("validation"), config.model.context, config.train.batch)
    tokens = list(loader.in_order(rows, batches or config.train.eval_batches))
    counts = token_files.bigram_counts(data.split("train"), config.model.vocab_size)
    frequency_V = counts.sum(1) + 1.0
    return understood(
        config.model,
        run.params,
        circuits[0].means,
        [one.keep for one in circuits],
        np.stack(tokens),
        frequency_V / frequency_V.sum(),
        report,
    )


def understood(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    keeps: Sequence[Mapping[str, Any]],
    tokens_NBL: npt.NDArray[np.integer],
    frequency_V: npt.NDArray[np.floating],
    report: Reporter = silent,
) -> Understood:
    """From the masks of circuits, rows of validation text, and how often each token is
    in training text."""
    sites = [site for site in nodes.NODE_SITES if all(site in k for k in keeps)]
    count = {
        site: np.sum([np.asarray(k[site]) > 0 for k in keeps], axis=0) for site in sites
    }
    union = {site: np.asarray(x > 0) for site, x in count.items()}
    masks = [
        {site: np.zeros_like(x) for site, x in union.items()},
        union,
        {site: np.ones_like(x) for site, x in union.items()},
        *(_redrawn(union, seed) for seed in range(REDRAWS)),
    ]
    means = {site: means[site] for site in sites}
    losses = []
    for done, mask in enumerate(masks):
        report(Progress("understood", done, len(masks), "sets of nodes"))
        losses.append(_loss(config, params, means, mask, tokens_NBL))
    report(Progress("understood", len(masks), len(masks), "sets of nodes"))
    nothing, circuits, whole, *others = losses
    served = np.bincount(np.concatenate([x.ravel() for x in count.values()]))
    target = np.asarray(tokens_NBL)[..., 1:]
    return Understood(
        nodes=sum(int(x.sum()) for x in union.values()),
        of=sum(x.size for x in union.values()),
        served={n: int(x) for n, x in enumerate(served) if x},
        unigram=float(-np.log(frequency_V[target]).mean()),
        nothing=nothing,
        circuits=circuits,
        random=float(np.mean(others)),
        whole=whole,
    )


def _redrawn(mask: Mask, seed: int) -> Mask:
    """As many nodes of each site and layer, at random."""
    rng = np.random.default_rng(seed)
    return {site: rng.permuted(x, axis=-1) for site, x in sorted(mask.items())}


def _loss(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    mask: Mask,
    tokens_NBL: npt.NDArray[np.integer],
) -> float:
    keep = {site: jnp.asarray(x, jnp.float32) for site, x in mask.items()}
    found = [
        float(_batch_loss(config, params, means, keep, jnp.asarray(tokens_BL)))
        for tokens_BL in tokens_NBL
    ]
    return float(np.mean(found))


@functools.partial(jax.jit, static_argnums=0)
def _batch_loss(
    config: ModelConfig, params: Any, means: Nodes, keep: Nodes, tokens_BL: jax.Array
) -> jax.Array:
    """Nats per token, of all tokens but the first."""
    tap = ablations.mean(keep, means)
    logits_BLV = model.apply(config, params, tokens_BL[:, :-1], tap)
    log_BLV = jax.nn.log_softmax(logits_BLV.astype(jnp.float32))
    target_BL1 = tokens_BL[:, 1:, None]
    return -jnp.mean(jnp.take_along_axis(log_BLV, target_BL1, -1))
