"""The Circuit class, and how a circuit is saved to and loaded from a folder.

The folder holds circuit.json (readable facts) and circuit.npz (means and weights).
AbsTopK chooses among all channels of a site and norms see the whole residual, so a
circuit needs all weights of its model. Up to 20 MB of them are saved with it; a larger
model's weights are read from its run. A search that found nothing saves only
circuit.json.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes
from sparsetx.circuits.facts import REACHED, READABLE, Facts
from sparsetx.circuits.measure import ablations, edges, inference
from sparsetx.circuits.measure.calibration import Calibration
from sparsetx.circuits.measure.edges import Edge
from sparsetx.circuits.measure.node_means import MEAN
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node
from sparsetx.run import CONFIG, check_ids, load_run, params_hash
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.tasks.score import log_odds

JSON, NPZ = "circuit.json", "circuit.npz"
CARRIED = 20 * 10**6  # the most bytes of weights that are saved with a circuit
PARAM = "param/"  # before a parameter's path, in archives


@dataclass(frozen=True, eq=False)
class Circuit:
    """A model in which all nodes but the circuit's own are at their means."""

    facts: Facts
    params: Mapping[str, Any]
    keep: Mapping[str, Any]
    means: Mapping[str, Any]

    @property
    def task(self) -> str:
        return self.facts.task

    @property
    def loss(self) -> float:
        """The calibrated loss on the test pool, in nats."""
        return self.facts.loss

    @property
    def config(self) -> ModelConfig:
        return self.facts.model.config

    @property
    def nodes(self) -> list[Node]:
        return [node_of(name) for name in self.facts.nodes]

    @functools.cached_property
    def edges(self) -> list[Edge]:
        return edges.listed(self.config, self.params, self.keep)

    @property
    def calibration(self) -> Calibration:
        found = self.facts.calibration
        return Calibration(
            found.scale, dict(zip(found.tokens, found.shift, strict=True))
        )

    @functools.cached_property
    def _folded(self) -> inference.Folded | None:
        return inference.fold(self.config, self.params, self.keep, self.means)

    def logits(self, tokens_BL: Any) -> npt.NDArray[np.float32]:
        """Uncalibrated logits of the circuit, [B, L, V].

        From the circuit's own weights, at a cost that follows its size; from the whole
        model, with other nodes at their means, where these do not suffice
        (`measure/inference` says where).
        """
        ids = model.check_tokens(self.config, check_ids(self.config, tokens_BL))
        if self._folded is not None:
            return self._folded.logits(ids)
        tap = ablations.mean(self.keep, self.means)
        return np.asarray(model.apply(self.config, self.params, ids, tap))

    def answer_logits(
        self, tokens_BL: Any, position_B: Any, answers_B2: Any
    ) -> npt.NDArray[np.float32]:
        """Calibrated logits of both candidates, [B, 2].

        In a one-token contrast both candidates are the same token: then the first
        column is its calibrated log odds against all others, and the second is 0.
        """
        answers_B2 = np.asarray(answers_B2)
        logits_BV = self._logits_at(tokens_BL, np.asarray(position_B))
        calibration = self.calibration
        if (answers_B2[:, 0] == answers_B2[:, 1]).all():
            wide_BV = logits_BV.astype(np.float64)
            odds_B = log_odds(
                wide_BV, wide_BV[np.arange(len(wide_BV)), answers_B2[:, 0]]
            )
            answer_B2 = np.stack([odds_B, np.zeros_like(odds_B)], 1)
            shift_B2 = calibration.shifts(answers_B2) * np.array([1, 0])
        else:
            answer_B2 = np.take_along_axis(logits_BV, answers_B2, 1)
            shift_B2 = calibration.shifts(answers_B2)
        found: npt.NDArray[np.float32] = calibration.scale * answer_B2 + shift_B2
        return found.astype(np.float32)

    def _logits_at(
        self, tokens_BL: Any, place_B: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float32]:
        """[B, V]: at one place of each row."""
        if self._folded is None:
            place_B11 = place_B[:, None, None]
            return np.take_along_axis(self.logits(tokens_BL), place_B11, 1)[:, 0]
        ids = model.check_tokens(self.config, check_ids(self.config, tokens_BL))
        return self._folded.logits_at(ids, place_B)


def name_of(node: Node) -> str:
    return f"{node.site}/{node.layer}/{node.index}"


def node_of(name: str) -> Node:
    site, layer, index = name.split("/")
    return Node(site, int(layer), int(index))


def save(circuit: Circuit, folder: files.PathLike, carried: int | None = None) -> None:
    """Write the arrays first, so that a folder with circuit.json is complete. A model's
    weights are among them if they have at most `carried` bytes."""
    path = files.place(folder)
    leaves = dict(parameters.leaves(circuit.params))
    most = CARRIED if carried is None else carried
    arrays = {MEAN + site: np.asarray(x) for site, x in circuit.means.items()}
    if sum(np.asarray(x).nbytes for x in leaves.values()) <= most:
        arrays |= {PARAM + "/".join(p): np.asarray(x) for p, x in leaves.items()}
    files.write_arrays(path / NPZ, arrays)
    save_facts(circuit.facts, folder)


def save_facts(facts: Facts, folder: files.PathLike) -> None:
    files.write_json(files.place(folder) / JSON, fields.to_json(facts))


def load_facts(path: files.PathLike) -> Facts:
    """Read and check a circuit.json."""
    file = folder_of(path) / JSON
    if not file.is_file():
        raise Refusal(
            f"wanted a circuit at {folder_of(path)}: {file} does not exist. Make one:\n"
            "    sparsetx prune RUN --tasks TASK"
        )
    what = f"{file} cannot be used"
    value = files.read_json(file, "a circuit")
    version = value.get("version") if isinstance(value, dict) else None
    if version not in READABLE:
        wanted = " or ".join(map(str, READABLE))
        raise Refusal(f"{what}: wanted version {wanted}, got {fields.shown(version)}")
    facts = fields.from_json(Facts, value, what)
    parameters.check_model(facts.model.config)
    refuse_all(what, _offences(facts))
    return facts


def load_circuit(path: files.PathLike) -> Circuit:
    """Load the circuit in a folder such as runs/NAME/circuits/TASK."""
    folder, facts = folder_of(path), load_facts(path)
    if facts.status != REACHED:
        raise Refusal(
            f"there is no circuit at {folder}: {facts.task} was {facts.status} at "
            f"{facts.search.target} nats"
        )
    config, what = facts.model.config, f"{folder / NPZ} cannot be used"
    found = files.read_arrays(folder / NPZ, "a circuit's arrays", _most(config))
    sites = mask_sites(facts)
    means: dict[str, Any] = {site: found.get(MEAN + site) for site in sites}
    shapes = nodes.shapes(config, sites)
    refuse_all(
        what,
        [
            f"{MEAN}{site}: wanted float32 {list(shapes[site])}, got "
            + ("nothing" if x is None else f"{x.dtype} {list(x.shape)}")
            for site, x in means.items()
            if x is None or x.shape != shapes[site] or x.dtype != np.float32
        ],
    )
    keep = {site: np.zeros(shape, np.float32) for site, shape in shapes.items()}
    for node in map(node_of, facts.nodes):
        row = keep[node.site]
        (row if node.site in nodes.END_SITES else row[node.layer])[node.index] = 1
    return Circuit(facts, _params(folder, facts, found, what), keep, means)


def mask_sites(facts: Facts) -> tuple[str, ...]:
    return (*nodes.NODE_SITES, nodes.FINAL) if facts.search.final else nodes.NODE_SITES


def run_of(folder: Path, facts: Facts) -> Path:
    """The folder of a circuit's run: one above the circuit, or the recorded path."""
    above = (
        path for path in files.absolute(folder).parents if (path / CONFIG).is_file()
    )
    return next(above, files.place(facts.model.run))


def _params(
    folder: Path, facts: Facts, found: Mapping[str, Any], what: str
) -> Mapping[str, Any]:
    tree: dict[str, Any] = {}
    for name, x in found.items():
        if name.startswith(PARAM):
            *inner, last = name.removeprefix(PARAM).split("/")
            place = tree
            for key in inner:
                place = place.setdefault(key, {})
                if not isinstance(place, dict):
                    raise Refusal(f"{what}: {name} is inside another parameter")
            place[last] = x
    if not tree:
        tree = dict(_of_run(folder, facts))
    parameters.check_tree(facts.model.config, tree, what)
    if params_hash(tree) != facts.model.hash:
        raise Refusal(
            f"{what}: its weights are not those of the model that it was cut from "
            f"({facts.model.run}, step {facts.model.step})"
        )
    params: Mapping[str, Any] = jax.tree.map(jnp.asarray, tree)
    return params


def _of_run(folder: Path, facts: Facts) -> Mapping[str, Any]:
    """The weights of a large model, from its run."""
    try:
        return load_run(run_of(folder, facts), facts.model.step).params
    except Refusal as refusal:
        raise Refusal(
            f"the model of the circuit at {folder} is too large to be saved with it, "
            f"and its run cannot be loaded: {refusal}"
        ) from refusal


def _most(config: ModelConfig) -> int:
    """The most bytes of a circuit's arrays, with room for their headers."""
    weights = sum(
        int(np.prod(parameters.full_shape(config, p))) for p in parameters.table(config)
    )
    return 4 * (weights + nodes.count(config) + config.d_model) + 100_000


def _offences(facts: Facts) -> list[str]:
    config = facts.model.config
    shapes = nodes.shapes(config, mask_sites(facts))
    found = []
    for name in facts.nodes:
        try:
            node = node_of(name)
            inside = node.site in shapes and 0 <= node.index < shapes[node.site][-1]
            layers = 1 if node.site in nodes.END_SITES else config.n_layer
            if not inside or not 0 <= node.layer < layers:
                found.append(f"nodes: {name!r} is not a node of this model")
        except ValueError:
            found.append(f"nodes: wanted site/layer/index, got {name!r}")
    if len(facts.calibration.tokens) != len(facts.calibration.shift):
        found.append("calibration: wanted a shift for each token")
    if len(set(facts.nodes)) != len(facts.nodes):
        found.append("nodes: one is listed twice")
    return found


def folder_of(path: files.PathLike) -> Path:
    """A circuit's folder, given the folder itself or the circuit.json in it."""
    given = files.place(path)
    return given.parent if given.name == JSON else given
