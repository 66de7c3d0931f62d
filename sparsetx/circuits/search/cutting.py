"""From a run and its tasks to circuits: pools, search, measurements, and facts."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits import facts
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.facts import CircuitKind, Facts, Losses, Rank, ShuffledPart
from sparsetx.circuits.measure import edges
from sparsetx.circuits.measure.node_means import Means
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search import (
    attribution,
    discretisation,
    final_figures,
    pools,
    pruning,
    verification,
)
from sparsetx.circuits.search.discretisation import Ranking
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.circuits.search.mask_search import Gates
from sparsetx.circuits.search.pools import Drawn, Sizes
from sparsetx.circuits.search.pruning import Aim, Case, Found
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.run import Run, params_hash, provenance
from sparsetx.system.progress import Progress, Reporter, silent
from sparsetx.tasks.task import SPLITS

# Rankings that are computed in a few passes, without a search.
SCORES = {"attribution": attribution.scores, "integrated": attribution.integrated}


@dataclass(frozen=True)
class Request:
    """The settings with which circuits are searched."""

    aim: Aim = field(default_factory=Aim)
    sizes: Sizes = field(default_factory=Sizes)
    rank: Rank = "learned"
    effective: bool = True  # also find the fewest edges
    memory: float = 4e9  # bytes
    shuffled: int | None = None  # seed by which the model's weights are shuffled
    shuffled_part: ShuffledPart = "all"


@dataclass(frozen=True, eq=False)
class Cutting:
    """A model, and what is needed to find circuits in it."""

    run: Run
    means: Means
    request: Request
    report: Reporter = silent

    @property
    def sites(self) -> tuple[str, ...]:
        final = (nodes.FINAL,) if self.request.aim.final else ()
        return (*nodes.NODE_SITES, *final)

    @property
    def empty(self) -> Nodes:
        """The mask that keeps nothing."""
        means = self.means.of(self.sites)
        return {site: np.zeros_like(x) for site, x in means.items()}

    def subject(self, keep: Nodes) -> Subject:
        means = self.means.of(self.sites)
        return Subject(self.run.config.model, self.run.params, means, keep)


def circuits(
    cutting: Cutting, drawn: Mapping[str, Drawn], kinds: Sequence[CircuitKind]
) -> Iterator[tuple[str, CircuitKind, Circuit]]:
    """(task, kind, circuit) for tasks whose prompts have the same padded length.
    Where no circuit was found it is empty, and its facts say so."""
    config, params = cutting.run.config.model, cutting.run.params
    each = [own[split] for own in drawn.values() for split in ("train", "val")]
    length = pools.padded_length(config, *each)
    cases = {
        name: pools.case(config, params, name, own, length)
        for name, own in drawn.items()
    }
    doable = {}
    for name, case in cases.items():
        if cutting.request.shuffled is None and not _does(cutting, case):
            for kind in kinds:
                yield name, kind, _undone(cutting, case, drawn[name], kind)
        else:
            doable[name] = case
    for kind in kinds if doable else ():
        asked = [_with_donors(cutting, case, kind) for case in doable.values()]
        found = searched(
            cutting.request, config, params, cutting.means.of(cutting.sites), asked,
            kind, cutting.report,
        )  # fmt: skip
        for (name, case), one in zip(doable.items(), found, strict=True):
            yield name, kind, _circuit(cutting, case, drawn[name], one, kind)


def _with_donors(cutting: Cutting, case: Case, kind: CircuitKind) -> Case:
    """Only faithful searches resample."""
    if kind != "faithful":
        return case
    given = cutting.run.config.model, cutting.run.params
    return dataclasses.replace(
        case,
        train=pools.with_donors(*given, case.train, cutting.sites),
        val=pools.with_donors(*given, case.val, cutting.sites),
    )


def groups(cutting: Cutting, drawn: Mapping[str, Drawn]) -> Iterator[dict[str, Drawn]]:
    """Tasks to be searched together: their prompts have the same padded length, and
    there are as many as fill the devices."""
    config, request = cutting.run.config.model, cutting.request
    same: dict[int, list[str]] = {}
    for name, own in drawn.items():
        length = pools.padded_length(config, own["train"], own["val"])
        same.setdefault(length, []).append(name)
    for length, names in same.items():
        deck = pruning.deck_of(config, length, request.aim, request.memory)
        many = max(1, deck.lanes // request.aim.effort.settings)
        for first in range(0, len(names), many):
            yield {name: drawn[name] for name in names[first : first + many]}


def _does(cutting: Cutting, case: Case) -> bool:
    """Whether the whole model reaches the target: else its circuits cannot either."""
    nothing = cutting.subject(cutting.empty)
    found = final_figures.whole(nothing, case.val).whole_loss
    return found is not None and found <= cutting.request.aim.target


def searched(
    request: Request,
    config: ModelConfig,
    params: Any,
    means: Nodes,
    cases: list[Case],
    kind: CircuitKind,
    report: Reporter,
) -> list[Found]:
    """The circuits of one kind that a search finds for some cases."""
    gates: Gates = "hard-concrete" if request.rank == "hard-concrete" else "step"
    aim = dataclasses.replace(request.aim.of(kind), gates=gates)
    given = (config, params, means, cases, aim)
    if request.rank not in SCORES:
        return pruning.prune(*given, request.memory, report)
    found = []
    for cutter in pruning.cutters(*given, report):
        ranking = Ranking.of(cutter, SCORES[request.rank](cutter.judge), aim.target)
        chosen = verification.verified(cutter, ranking, aim.kind, aim.target)
        found.append(Found(chosen, [], (verification.size_of(cutter, chosen),)))
    return found


def _undone(cutting: Cutting, case: Case, own: Drawn, kind: CircuitKind) -> Circuit:
    subject = cutting.subject(cutting.empty)
    whole = final_figures.whole(subject, _test(cutting, case, own))
    told = _facts(cutting, case, own, kind)
    told = dataclasses.replace(told, status=facts.NOT_DONE, test=whole)
    return Circuit(told, cutting.run.params, subject.keep, subject.means)


def _circuit(
    cutting: Cutting, case: Case, own: Drawn, found: Found, kind: CircuitKind
) -> Circuit:
    config, chosen = cutting.run.config.model, found.chosen
    keep = nodes.unflatten(config, chosen.mask.astype(np.float32), cutting.sites)
    subject = cutting.subject(keep)
    test = _test(cutting, case, own)
    told = dataclasses.replace(
        _facts(cutting, case, own, kind),
        curve=_curve(chosen),
        history=_history(found),
        test=final_figures.whole(subject, test),
    )
    if chosen.reached:
        told = _assessed(cutting, subject, case, own, test, told)
    return Circuit(told, cutting.run.params, keep, subject.means)


def _assessed(
    cutting: Cutting, subject: Subject, case: Case, own: Drawn, test: Task, told: Facts
) -> Facts:
    """Facts of a circuit that reached the target: losses, sizes, calibration."""
    honest, target = told.search.honest > 0, told.search.target
    calibration = final_figures.fitted(subject, case.train, case.val)

    def losses(split: str, task: Task, drawn: int = 0) -> Losses:
        title = f"{case.name}, {told.search.kind}, measured"
        done = SPLITS.index(split)
        cutting.report(Progress(title, done, len(SPLITS), "pools", {}))
        return final_figures.losses(subject, task, own[split], calibration, drawn)

    on_train, on_val = losses("train", case.train), losses("val", case.val)
    on_test = losses("test", test, drawn=len(own["val"]))
    fewest = None
    if cutting.request.effective:
        fewest = final_figures.fewest_edges(subject, case.val, target, honest)
    pattern = edges.patterns(subject.config, subject.params)
    shift = calibration.shift or {}
    return dataclasses.replace(
        told,
        status=facts.REACHED,
        loss=on_test.calibrated,
        size=final_figures.size(subject, pattern, own, fewest),
        calibration=facts.Calibration(
            calibration.scale, tuple(shift), tuple(shift.values())
        ),
        nodes=tuple(map(name_of, nodes.kept(subject.config, subject.keep))),
        train=on_train,
        val=on_val,
        test=on_test,
    )


def _test(cutting: Cutting, case: Case, own: Drawn) -> Task:
    """The test pool, at least as long as the pools of the search: so it shares programs
    with them, and with those of other tasks."""
    config, pairs = cutting.run.config.model, own["test"]
    searched = case.val.asked.tokens_BL.shape[1]
    length = max(pools.padded_length(config, pairs), searched)
    return pools.asked(config, cutting.run.params, pairs, length, cutting.sites)


def _facts(cutting: Cutting, case: Case, own: Drawn, kind: CircuitKind) -> Facts:
    run, request = cutting.run, cutting.request
    return Facts(
        task=case.name,
        model=facts.Model(
            config=run.config.model,
            hash=params_hash(run.params),
            tokenizer=run.tokenizer.fingerprint,
            run=str(run.path),
            step=run.step,
            shuffled=request.shuffled,
            shuffled_part=request.shuffled_part,
        ),
        search=dataclasses.replace(
            search_facts(request, run.config.model, own, kind),
            mean_tokens=cutting.means.tokens,
            mean_hash=cutting.means.hash,
        ),
        versions=tuple(f"{k} {v}" for k, v in provenance.versions().items()),
    )


def search_facts(
    request: Request, config: ModelConfig, own: Drawn, kind: CircuitKind
) -> facts.Search:
    """A request as it is recorded in circuit.json."""
    aim = request.aim.of(kind)
    return facts.Search(
        target=aim.target,
        honest=aim.honest,
        faithful=aim.faithful,
        rank=request.rank,
        seed=aim.seed,
        rounds=tuple(f"{n} x {steps}" for n, steps in aim.effort.rounds),
        pairs=aim.effort.pairs,
        finalists=aim.effort.finalists,
        final=aim.final,
        tied=aim.tied,
        train_pairs=len(own["train"]),
        val_pairs=len(own["val"]),
        test_pairs=len(own["test"]),
        length=request.sizes.length or config.context,
        pools=pools.fingerprint(own),
    )


def _curve(chosen: discretisation.Chosen) -> facts.Curve:
    points = chosen.curve
    return facts.Curve(
        tuple(p.nodes for p in points),
        tuple(p.edges_plus for p in points),
        tuple(p.loss for p in points),
    )


def _history(found: Found) -> facts.History:
    trials = found.history
    settings = [t.settings for t in trials]
    return facts.History(
        round=tuple(t.round for t in trials),
        steps=tuple(t.steps for t in trials),
        seed=tuple(t.seed for t in trials),
        loss=tuple(t.loss for t in trials),
        edges_plus=tuple(-1 if t.edges_plus is None else t.edges_plus for t in trials),
        best=tuple(-1 if size is None else size for size in found.best),
        k_coef=tuple(float(s.k_coef) for s in settings),
        lr=tuple(float(s.lr) for s in settings),
        init_bias=tuple(float(s.init_bias) for s in settings),
        temperature=tuple(float(s.temperature) for s in settings),
    )
