"""Cutting: from a model and the pools of some tasks to their smallest circuits.

A pure function of its arguments: nothing is read or written. Instead of the paper's 256
trials one after another, rounds of successive halving: many settings for a few steps,
the better half of them, and new ones near the best, for more steps. A trial's score is
the number of edges⁺ of its smallest circuit that reaches the target on the *val* pool;
masks train on *train*, and *test* is not seen here.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from sparsetx.circuits.measure import edges
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search import discretisation, lanes
from sparsetx.circuits.search.discretisation import Chosen, Cutter, Ranking
from sparsetx.circuits.search.judge import Judge
from sparsetx.circuits.search.lanes import Deck
from sparsetx.circuits.search.mask_search import Plan, Settings
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.system.progress import Progress, Reporter, silent

CALL = 25  # steps between two lines of progress
# How far settings are drawn around the best: standard deviations of their logarithms.
SPREAD = {
    "k_coef": 0.7,
    "lr": 0.5,
    "init_bias": 0.3,
    "temperature": 0.3,
    "weight_decay": 0.5,
}
TRIES, TIGHTER = 6, 0.97  # where H, by its definition, is above the target
ERRORS = 2.0, 1.0  # standard errors by which H stays below the target; or else
DRAWS = 32  # of the stochastic ablation in that H; a report takes more


@dataclass(frozen=True)
class Effort:
    """How much is tried: (settings, steps of each) round by round."""

    rounds: tuple[tuple[int, int], ...] = ((8, 200), (4, 400), (2, 800))
    pairs: int = 32  # of a batch
    finalists: int = 2  # of which whole curves are drawn

    @property
    def settings(self) -> int:
        """The most that are tried at once for a task."""
        return max(count for count, _ in self.rounds)


@dataclass(frozen=True)
class Aim:
    """What is looked for."""

    target: float = 0.15  # nats
    honest: float = 1.0
    seed: int = 0
    final: bool = False
    tied: bool = False
    effort: Effort = Effort()


@dataclass(frozen=True)
class Case:
    """One task to cut a circuit for."""

    name: str
    train: Task
    val: Task
    answers: Sequence[int]  # tokens whose logits decide


@dataclass(frozen=True)
class Trial:
    round: int
    steps: int
    seed: int
    settings: Settings
    loss: float
    edges_plus: int | None  # None: the target was not reached


@dataclass(frozen=True)
class Found:
    """The best circuit of a task, or none; how it was found."""

    chosen: Chosen
    history: list[Trial]


@dataclass(frozen=True)
class _Scored:
    trial: Trial
    ranking: Ranking

    @property
    def rank(self) -> tuple[float, float]:
        size = self.trial.edges_plus
        return (np.inf if size is None else size, self.trial.loss)


def prune(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    cases: Sequence[Case],
    aim: Aim,
    memory: float,
    report: Reporter = silent,
) -> list[Found]:
    """A circuit for each case. Cases have pools of equal shapes, and share programs."""
    length = cases[0].train.asked.tokens_BL.shape[1]
    deck = deck_of(config, length, aim, memory)
    tasks = jax.tree.map(lambda *x: np.stack(x), *[case.train for case in cases])
    judged = cutters(config, params, means, cases, aim, report)
    progress = _Progress(report, cases, aim)
    scored: list[list[_Scored]] = [[] for _ in cases]
    for number, (count, steps) in enumerate(aim.effort.rounds):
        progress.round = number
        asked = [proposals(aim, number, count, own) for own in scored]
        which = [(i, *lane) for i, own in enumerate(asked) for lane in own]
        tau, losses = lanes.run(
            deck, params, means, tasks, lanes.stacked(which), steps, progress.steps
        )
        for lane, (i, seed, settings) in enumerate(which):
            own = {site: x[lane] for site, x in tau.items()}
            ranking = Ranking.of(judged[i], own)
            best = discretisation.glance(judged[i], ranking, aim.target)
            size = None if best is None else best.edges_plus
            trial = Trial(number, steps, seed, settings, float(losses[lane]), size)
            scored[i].append(_Scored(trial, ranking))
            progress.best(scored[i], i)
    return [
        _finish(cutter, own, aim) for cutter, own in zip(judged, scored, strict=True)
    ]


def deck_of(config: ModelConfig, length: int, aim: Aim, memory: float) -> Deck:
    """The program that searches, for prompts of this length."""
    plan = Plan(config, aim.effort.pairs, CALL, aim.final, aim.tied)
    return lanes.deck(plan, length, memory, aim.effort.settings)


def cutters(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    cases: Sequence[Case],
    aim: Aim,
    report: Reporter,
) -> list[Cutter]:
    """What judges the masks of each case: *val*, and in the end as much of *train*."""
    pattern = {k: np.asarray(x) for k, x in edges.patterns(config, params).items()}
    judge = functools.partial(
        Judge, config, params, means, honest=aim.honest > 0, seed=aim.seed
    )
    return [
        Cutter(
            judge(task=case.val), pattern, case.answers, _title(case.name, aim), report,
            judge(task=case.train.rows(np.arange(_rows(case)))),
        )
        for case in cases
    ]  # fmt: skip


def _rows(case: Case) -> int:
    """As many prompts of both pools: one program judges either."""
    return min(len(task.asked.position_B) for task in (case.train, case.val))


def _title(name: str, aim: Aim) -> str:
    return f"{name}, {'honest' if aim.honest else 'plain'}"


def proposals(
    aim: Aim, number: int, count: int, before: Sequence[_Scored]
) -> list[tuple[int, Settings]]:
    """(seed, settings) of a round: the better half of the last one, and settings drawn
    around the best. At first, the centre and settings around it."""
    rng = np.random.default_rng([aim.seed, number])
    centre = dataclasses.replace(Settings(), honest=aim.honest)
    last = [s for s in before if s.trial.round == number - 1]
    ranked = sorted(last, key=lambda s: s.rank)
    kept = [(s.trial.seed, s.trial.settings) for s in ranked[: max(1, count // 2)]]
    kept = kept[:count] or [(aim.seed, centre)]
    width = 0.5**number
    drawn = [
        (aim.seed + 1000 * number + i, _near(kept[i % len(kept)][1], rng, width))
        for i in range(len(kept), count)
    ]
    return kept + drawn


def _near(settings: Settings, rng: np.random.Generator, width: float) -> Settings:
    return dataclasses.replace(
        settings,
        **{
            name: float(getattr(settings, name) * np.exp(width * s * rng.normal()))
            for name, s in SPREAD.items()
        },
    )


def _finish(cutter: Cutter, scored: Sequence[_Scored], aim: Aim) -> Found:
    """Whole curves of the best few; the smallest of their circuits."""
    finalists = sorted(scored, key=lambda s: s.rank)[: aim.effort.finalists]
    found = [_verified(cutter, s.ranking, aim) for s in finalists]

    def rank(chosen: Chosen) -> tuple[float, float]:
        size = cutter.sizes(chosen.mask[None]).edges_plus[0]
        return (float(size) if chosen.reached else np.inf, chosen.loss)

    return Found(min(found, key=rank), [s.trial for s in scored])


def _verified(cutter: Cutter, ranking: Ranking, aim: Aim) -> Chosen:
    """A circuit whose H reaches the target by its definition, where H is asked for."""
    if not cutter.judge.honest:
        return discretisation.choose(cutter, ranking, aim.target)
    for errors in ERRORS:
        found = _honest(cutter, ranking, aim.target, errors)
        if found:
            return Chosen(*found, ranking.curve)
    none = np.zeros(len(ranking.order), bool)
    return Chosen(none, min(p.loss for p in ranking.curve), ranking.curve)


def _honest(
    cutter: Cutter, ranking: Ranking, target: float, errors: float
) -> tuple[discretisation.Mask, float] | None:
    """A mask with an H at the target, and its H. The judge's quick figure may be too
    kind: where the circuit that it begins from is not honest, it is held to less, by
    as much as H came out too high. From one that is, nodes go; of what they leave, the
    smallest that still is honest."""
    held = target
    for _ in range(TRIES):
        point = discretisation.start(cutter, ranking, held)
        if point is None:
            return None
        mask = ranking.first(point.nodes)
        honesty = _honesty(cutter, mask, errors, target)
        if honesty <= target:
            way = [each for each, _ in discretisation.clean(cutter, mask, held)]
            return _smallest_honest(cutter, way, target, errors) or (mask, honesty)
        held = TIGHTER * min(point.loss, held * target / honesty)
    return None


def _smallest_honest(
    cutter: Cutter, way: Sequence[discretisation.Mask], target: float, errors: float
) -> tuple[discretisation.Mask, float] | None:
    """Of masks that grow smaller, the last with an H at the target, and its H: as a
    rule that is the last of all, so that one is asked first."""

    def honesty(mask: discretisation.Mask) -> float:
        return _honesty(cutter, mask, errors, target)

    last = honesty(way[-1])
    if last <= target:
        return way[-1], last
    return discretisation.furthest(way[:-1], target, honesty)


def _honesty(
    cutter: Cutter, mask: discretisation.Mask, errors: float, enough: float = np.inf
) -> float:
    """H, with so many standard errors more, of the pool where it is worse: it should
    hold on prompts not seen here. Once one pool says that it is above `enough`, the
    other is not asked."""
    keep = cutter.judge.tree_of(mask)
    worst = -np.inf
    for judge in (cutter.judge, cutter.second):
        if judge and worst <= enough:
            worst = max(worst, judge.figures(keep, DRAWS, errors, enough)["H"])
    return worst


class _Progress:
    """Lines of progress: steps of all lanes of all rounds, and the best circuit."""

    def __init__(self, report: Reporter, cases: Sequence[Case], aim: Aim):
        self.report, self.cases = report, cases
        rounds = aim.effort.rounds
        self.total = len(cases) * sum(n * steps for n, steps in rounds)
        self.rounds = len(rounds)
        self.done = self.round = 0
        self.sizes: dict[str, int] = {}
        names = [case.name for case in cases]
        self.stage = _title(names[0] if len(names) == 1 else f"{len(names)} tasks", aim)

    def steps(self, count: int) -> None:
        self.done = min(self.done + count, self.total)
        best = ", ".join(str(size) for size in self.sizes.values()) or "-"
        figures: dict[str, Any] = {
            "round": f"{self.round + 1}/{self.rounds}",
            "best edges+": best,
        }
        self.report(Progress(self.stage, self.done, self.total, "mask steps", figures))

    def best(self, scored: Sequence[_Scored], case: int) -> None:
        sizes = [s.trial.edges_plus for s in scored if s.trial.edges_plus is not None]
        if sizes:
            self.sizes[self.cases[case].name] = min(sizes)
