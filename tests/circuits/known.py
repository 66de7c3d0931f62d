"""The compiled model's known circuit, saved in a run folder without a search."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.runs_and_circuits import Cut
from sparsetx.circuits.search import pools
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.nodes import Node
from sparsetx.run import TOKENIZER, Run, load_run, params_hash
from sparsetx.tasks import task_file
from sparsetx.tasks.pairs import Pairs
from tests.circuits import compiled, handmade

PLAIN = compiled.CIRCUIT - {Node(nodes.MLP_IN, 0, 1)} | {Node(nodes.Q, 1, 0)}


def made(folder: Path) -> Path:
    """Write a run with its circuit, and its task file beside it; returns the folder."""
    run, file = load_run(handmade.run(folder)), handmade.task_file(folder)
    asked = task_file.file_pairs(file, run.tokenizer, "train", context=32)
    save(
        run,
        run.path / runs_and_circuits.CIRCUITS / handmade.TASK,
        questions.of(asked).tokens_BL,
    )
    return run.path


def made_of_two_kinds(folder: Path) -> None:
    """The same with a plain circuit beside it, of nearly the same nodes: it has the
    constant query, and not the node that tells the quotes apart."""
    run = load_run(made(folder))
    file = folder / f"{handmade.TASK}.jsonl"
    asked = task_file.file_pairs(file, run.tokenizer, "train", context=32)
    save(
        run,
        run.path / runs_and_circuits.CIRCUITS / handmade.TASK / "plain",
        questions.of(asked).tokens_BL,
        PLAIN,
        search=facts.Search(length=32, honest=0.0),
    )


def save(
    run: Run,
    folder: Path,
    tokens_BL: Any,
    nodes_kept: Collection[Node] = compiled.CIRCUIT,
    **more: Any,
) -> None:
    config = run.config.model
    keep = {s: np.zeros(n, np.float32) for s, n in nodes.shapes(config).items()}
    for node in nodes_kept:
        keep[node.site][node.layer, node.index] = 1
    means = ablations.means(config, run.params, jnp.asarray(tokens_BL)[None])
    order = np.flatnonzero(nodes.flatten(config, keep))
    kept = [circuit.name_of(nodes.node_at(config, int(i))) for i in order]
    told = facts.Facts(
        task=handmade.TASK,
        status=facts.REACHED,
        model=facts.Model(
            config, params_hash(run.params), run.tokenizer.fingerprint, str(run.path)
        ),
        search=facts.Search(length=32),
        size=facts.Size(nodes=11, edges=9, edges_plus=9, pairs=30),
        test=facts.Losses(
            mean=0.1, frozen=0.11, stochastic=0.12, H=0.12, accuracy=0.99,
            distractor_accuracy=0.98, whole_loss=0.01, whole_accuracy=1.0,
        ),
        curve=facts.Curve((4, 11), (2, 9), (0.7, 0.01)),
        nodes=tuple(kept),
    )  # fmt: skip
    own = {site: np.asarray(x) for site, x in means.items()}
    circuit.save(
        Circuit(dataclasses.replace(told, **more), run.params, keep, own), folder
    )


def cut(run: Path) -> Cut:
    folder = run / runs_and_circuits.CIRCUITS / handmade.TASK
    return Cut(folder, circuit.load_facts(folder))


def pairs(run: Path, most: int = 4) -> Pairs:
    """The first pairs of the pool that reports use."""
    own = cut(run)
    file = run.parent / f"{handmade.TASK}.jsonl"
    found = pools.again(own.folder, own.facts, file).pairs
    return pools.first_of(found, most, own.facts.model.config)


def tokenizer(run: Path) -> Tokenizer:
    return Tokenizer.load(run / TOKENIZER)
