"""The batch job: circuits for many tasks of a run, by any number of processes.

Every task has a folder below `out`. A process claims a task by a lock in that folder;
the task is done when its circuit.json exists, which is written last. A process takes
tasks that no other has claimed: however often processes are killed and started again,
and however many run at once, the result is the same, byte for byte.

A job that is to improve searches again, with other settings, where circuits exist, and
the smaller one stays: with more effort a reported size never rises.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from sparsetx.circuits import circuit
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.facts import KINDS, REACHED, CircuitKind, Facts
from sparsetx.circuits.measure import node_means
from sparsetx.circuits.search import pools
from sparsetx.circuits.search.cutting import (
    Cutting,
    Request,
    circuits,
    groups,
    search_facts,
)
from sparsetx.circuits.search.pools import Drawn
from sparsetx.model import shuffled_weights
from sparsetx.run import Run, params_hash
from sparsetx.system import fields, files, lock
from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.system.progress import Reporter, silent
from sparsetx.tasks import task_file
from sparsetx.tasks.pairs import CONTEXT
from sparsetx.tasks.task import SPLITS

EFFORT = ("rounds", "pairs", "finalists")  # what may differ when it is to improve


@dataclass(frozen=True, eq=False)
class Job:
    run: Run
    tasks: Mapping[str, Drawn]
    request: Request
    out: Path
    improve: bool = False

    @property
    def kinds(self) -> tuple[CircuitKind, ...]:
        """Plain always, honest and faithful where they are requested."""
        aim = self.request.aim
        asked = {"plain": True, "honest": aim.honest > 0, "faithful": aim.faithful > 0}
        return tuple(kind for kind in KINDS if asked[kind])

    def folder(self, task: str, kind: CircuitKind) -> Path:
        """The task's own folder for the honest circuit, or the plain one where that is
        all; folders in it for other kinds."""
        return folder_of(self.out, task, kind, self.kinds)


def folder_of(
    out: Path, task: str, kind: CircuitKind, kinds: Sequence[CircuitKind]
) -> Path:
    """Where a circuit is that was searched together with others of these kinds."""
    own = out / task
    first = "honest" if "honest" in kinds else "plain"
    return own if kind == first else own / kind


def of_run(
    run: Run,
    tasks: Mapping[str, Drawn],
    request: Request,
    out: Path,
    improve: bool = False,
) -> Job:
    """The job for a run, its weights shuffled if the request says so."""
    if request.shuffled is not None:
        blocks_only = request.shuffled_part == "blocks"
        params = shuffled_weights.shuffled(
            run.config.model, run.params, request.shuffled, blocks_only
        )
        run = dataclasses.replace(run, params=jax.tree.map(jax.numpy.asarray, params))
    job = Job(run, tasks, request, out, improve)
    files.check_writable(out)
    what = f"{out} holds circuits that were cut in another way (name another --out)"
    refuse_all(what, _others(job))
    return job


def work(job: Job, report: Reporter = silent) -> Iterator[Facts]:
    """Find the circuits that do not exist yet, as many tasks at once as fill the
    devices, and yield the facts of each. Tasks claimed by others are left to them."""
    if not job.improve and not any(_missing(job)):
        return
    found = node_means.of_run(job.run, job.out, report)
    cutting = Cutting(job.run, found, job.request, report)
    # At the end, wait for claims of processes that died.
    for wait in (True,) if job.improve else (False, True):
        names = tuple(job.tasks if job.improve else _missing(job))
        left = {task: job.tasks[task] for task in names}
        for group in groups(cutting, left):
            yield from _together(job, cutting, group, wait)


def _together(
    job: Job, cutting: Cutting, group: Mapping[str, Drawn], wait: bool
) -> Iterator[Facts]:
    """The circuits of a group's tasks that no other process has claimed."""
    with contextlib.ExitStack() as claims:
        claimed = functools.partial(_claimed, job, claims=claims, wait=wait)
        mine = {task: own for task, own in group.items() if claimed(task)}
        if not mine:
            return
        for task, kind, one in circuits(cutting, mine, job.kinds):
            folder = job.folder(task, kind)
            before = circuit.load_facts(folder) if _exists(folder) else None
            if job.improve and before is not None and not _smaller(one.facts, before):
                yield before
                continue
            _save(one, folder)
            yield one.facts


def _smaller(new: Facts, old: Facts) -> bool:
    """By what a search reports: the edges⁺ of a circuit that reaches the target."""
    if old.status != REACHED:
        return True
    return new.status == REACHED and new.size.edges_plus < old.size.edges_plus


def _claimed(job: Job, task: str, claims: contextlib.ExitStack, wait: bool) -> bool:
    """Claim a task, if nobody has and it is not done."""
    try:
        claims.enter_context(lock.held(job.out / task, wait))
    except Refusal:
        return False
    return job.improve or not _done(job, task)


def results(job: Job) -> list[tuple[str, list[Facts]]]:
    """(task, facts of its circuits, plain first) for the tasks that are done."""
    return [
        (task, [circuit.load_facts(job.folder(task, kind)) for kind in job.kinds])
        for task in job.tasks
        if _done(job, task)
    ]


def of_file(run: Run, path: str, request: Request) -> dict[str, Drawn]:
    """The pools of a task from a file, by the file's name."""
    most = min(request.sizes.length or CONTEXT, run.config.model.context)
    found = {
        split: task_file.file_pairs(path, run.tokenizer, split, context=most)
        for split in SPLITS
    }
    return {found["test"].task: found}


def _missing(job: Job) -> Iterator[str]:
    for task in job.tasks:
        if not _done(job, task):
            yield task


def _done(job: Job, task: str) -> bool:
    return all(_exists(job.folder(task, kind)) for kind in job.kinds)


def _exists(folder: Path) -> bool:
    return (folder / circuit.JSON).is_file()


def _save(made: Circuit, folder: Path) -> None:
    if made.nodes:
        circuit.save(made, folder)
    else:
        circuit.save_facts(made.facts, folder)


def _others(job: Job) -> Iterator[str]:
    """Existing circuits of another model, or found with other settings."""
    own = params_hash(job.run.params)
    for task in job.tasks:
        for kind in job.kinds:
            folder = job.folder(task, kind)
            if not _exists(folder):
                continue
            facts = circuit.load_facts(folder)
            if facts.model.hash != own:
                yield f"{folder} is of {facts.model.run}, step {facts.model.step}"
                continue
            config, drawn = job.run.config.model, job.tasks[task]
            wanted = search_facts(job.request, config, drawn, kind)
            for key, old, new in fields.diff(facts.search, wanted):
                effort = job.improve and key in EFFORT
                if not key.startswith("mean_") and not effort:
                    change = f"{fields.shown(old)}, now {fields.shown(new)}"
                    yield f"{folder}: {key} was {change}"


def of_names(
    run: Run, names: Sequence[str], request: Request
) -> tuple[dict[str, Drawn], dict[str, str]]:
    """The pools of tasks by name; and for those that have none, the reason."""
    config = run.config.model
    found: dict[str, Drawn] = {}
    unfit: dict[str, str] = {}
    for name in names:
        try:
            found[name] = pools.drawn(
                name, run.tokenizer, config, request.sizes, request.aim.seed
            )
        except Refusal as refusal:
            unfit[name] = str(refusal)
    return found, unfit
