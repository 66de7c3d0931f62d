"""Loads the evidence of a circuit from its folder; its pools are drawn again."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsetx.circuits import circuit
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.facts import REACHED, Facts
from sparsetx.circuits.measure import node_means, running_text
from sparsetx.circuits.search import batch_job, pools
from sparsetx.circuits.search.cutting import Request
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.circuits.search.pools import Drawn, Sizes
from sparsetx.nodes import Nodes
from sparsetx.run import Run, load_config
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Reporter
from sparsetx.tasks import table

FOLDER = "controls"  # in a circuit's: results of searches, means of shuffled models


def of_circuit(
    folder: Path,
    report: Reporter,
    task_file: str | None = None,
    length: int | None = None,
) -> Evidence:
    """The circuit in a folder, its model, and the pools that it was searched with, of
    prompts padded to `length` tokens (None: to what they need)."""
    found = circuit.load_circuit(folder)
    facts, config = found.facts, found.config
    path = circuit.run_of(folder, facts)
    run = Run(path, load_config(path), found.params, facts.model.step)
    drawn = _drawn(folder, run, facts, task_file)
    own = pools.padded_length(config, drawn["train"], drawn["val"])
    case = pools.case(config, found.params, facts.task, drawn, length or own)
    test = drawn["test"]
    for_test = length or pools.padded_length(config, test)
    return Evidence(
        Subject(config, found.params, found.means, found.keep),
        case.train,
        case.val,
        pools.asked(config, found.params, test, for_test),
        test.distractor_P,
        case.answers,
        facts.search,
        facts.task,
        functools.partial(_remeasured, run, found, folder / FOLDER, report),
        functools.partial(running_text.tokens, run),
        report,
    )


def length_of(folders: Sequence[Path], task_file: str | None = None) -> int:
    """To how many tokens the prompts of all these circuits may be padded, so that one
    program serves all of a model."""
    longest = 0
    for folder in folders:
        facts = circuit.load_facts(folder)
        config, path = facts.model.config, circuit.run_of(folder, facts)
        run = Run(path, load_config(path), {}, facts.model.step)
        drawn = _drawn(folder, run, facts, task_file)
        longest = max(longest, pools.padded_length(config, *drawn.values()))
    return longest


def _remeasured(
    run: Run, found: Circuit, folder: Path, report: Reporter, params: Any
) -> Nodes:
    """Node means with other weights, over the text that the run was trained on."""
    other = dataclasses.replace(run, params=params)
    return node_means.of_run(other, folder, report).of(tuple(found.means))


def _drawn(folder: Path, run: Run, facts: Facts, task_file: str | None) -> Drawn:
    """Draw the pools, and check that they are those of the circuit's search."""
    asked, context = facts.search, run.config.model.context
    if run.tokenizer.fingerprint != facts.model.tokenizer:
        raise Refusal(
            f"the circuit at {folder} was cut with another tokenizer than that of "
            f"{run.path}"
        )
    if task_file is not None:
        length = None if asked.length == context else asked.length
        request = Request(sizes=Sizes(length=length))
        (drawn,) = batch_job.of_file(run, task_file, request).values()
    elif facts.task in table.TASKS:
        sizes = Sizes(
            asked.train_pairs, asked.val_pairs, asked.test_pairs, asked.length
        )
        drawn = pools.drawn(
            facts.task, run.tokenizer, run.config.model, sizes, asked.seed
        )
    else:
        raise Refusal(
            f"the circuit at {folder} is of a task of your own, {facts.task}: name its "
            "file with --task-file"
        )
    if pools.fingerprint(drawn) != asked.pools:
        why = "an older sparsetx cut it" if not asked.pools else "the task has changed"
        raise Refusal(
            f"the circuit at {folder} was cut with other prompts than those drawn for "
            f"{task_file or facts.task} now ({why}): cut it again with sparsetx prune"
        )
    return drawn


def has_circuit(folder: Path) -> bool:
    return circuit.load_facts(folder).status == REACHED


def checked(path: files.PathLike) -> Path:
    """The folder of a circuit, checked to hold one."""
    folder = circuit.folder_of(path)
    circuit.load_facts(folder)
    return folder
