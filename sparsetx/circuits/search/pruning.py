"""Pruning: find the smallest circuits for the pools of some tasks, in rounds of lanes.

No files are read or written. Instead of the paper's 256 trials one after another, there
are rounds. The masks of the first begin from all nodes; those of the next from the best
circuit so far, with noise that lets some nodes in and some out, which finds exchanges
that no removal does. A round never loses what earlier ones found. A trial's score is
the edges⁺ of its smallest circuit that reaches the target on the *val* pool; masks
train on *train*, and *test* is not used here.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.facts import CircuitKind
from sparsetx.circuits.measure import edges
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search import (
    discretisation,
    lanes,
    mask_search,
    verification,
)
from sparsetx.circuits.search.discretisation import Chosen, Cutter, Ranking
from sparsetx.circuits.search.judge import Judge
from sparsetx.circuits.search.lanes import Deck
from sparsetx.circuits.search.mask_search import Gates, Plan, Settings
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.system.progress import Progress, Reporter, silent

CALL = 25  # steps between two progress reports, and two changes of the price
# New settings are drawn around the best: standard deviations of their logarithms.
SPREAD = {
    "k_coef": 0.7,
    "lr": 0.5,
    "init_bias": 0.3,
    "temperature": 0.3,
    "weight_decay": 0.5,
}
NOISE = 0.05  # of the scores that begin from a circuit: some nodes come, some go


@dataclass(frozen=True)
class Effort:
    """How much is tried: (settings, steps of each) for every round."""

    rounds: tuple[tuple[int, int], ...] = ((8, 200), (4, 400), (2, 800))
    pairs: int = 32  # in a batch
    finalists: int = 2  # of which whole curves are measured

    @property
    def settings(self) -> int:
        """The most settings that are tried at once for a task."""
        return max(count for count, _ in self.rounds)


@dataclass(frozen=True)
class Aim:
    """What is searched for: the target, the kind of circuit, and the effort."""

    target: float = 0.15  # nats
    honest: float = 1.0
    seed: int = 0
    final: bool = False
    tied: bool = False
    effort: Effort = Effort()
    faithful: float = 0.0
    gates: Gates = "step"

    def of(self, kind: CircuitKind) -> "Aim":
        """The same, for one kind of circuit. What is faithful is honest too."""
        return dataclasses.replace(
            self,
            honest={"plain": 0.0, "honest": self.honest, "faithful": 1.0}[kind],
            faithful=1.0 if kind == "faithful" else 0.0,
        )

    @property
    def kind(self) -> CircuitKind:
        return "faithful" if self.faithful else "honest" if self.honest else "plain"


@dataclass(frozen=True)
class Case:
    """One task to find a circuit for."""

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
    """The best circuit of a task, if one was found, all trials, and the edges⁺ of the
    best after each round."""

    chosen: Chosen
    history: list[Trial]
    best: tuple[int | None, ...] = ()


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
    """Find a circuit for each case. Cases have pools of equal shapes."""
    length = cases[0].train.asked.tokens_BL.shape[1]
    deck = deck_of(config, length, aim, memory)
    tasks = jax.tree.map(lambda *x: np.stack(x), *[case.train for case in cases])
    judged = cutters(config, params, means, cases, aim, report)
    progress, first = _Progress(report, cases, aim), mask_search.first_price(means)
    none = Chosen(np.zeros(nodes.count(config, deck.plan.sites), bool), np.inf)
    found = [Found(none, []) for _ in cases]
    for number, (count, steps) in enumerate(aim.effort.rounds):
        progress.round = number
        asked = [proposals(aim, number, count, own, first) for own in found]
        which = [(i, *lane) for i, own in enumerate(asked) for lane in own]
        begun = np.stack([_kept(found[i].chosen) for i, *_ in which])
        tau, losses = lanes.run(
            deck, params, means, tasks, lanes.stacked(which), steps, progress.steps,
            _price(aim, [judged[i] for i, *_ in which]), judged[0].judge.tree(begun),
        )  # fmt: skip
        scored: list[list[_Scored]] = [[] for _ in cases]
        for lane, (i, seed, settings) in enumerate(which):
            own = {site: x[lane] for site, x in tau.items()}
            ranking = Ranking.of(judged[i], own, aim.target)
            best = discretisation.glance(judged[i], ranking, aim.target)
            size = None if best is None else best.edges_plus
            trial = Trial(number, steps, seed, settings, float(losses[lane]), size)
            scored[i].append(_Scored(trial, ranking))
            progress.best(scored[i], i)
        found = [
            _improved(cutter, before, own, aim)
            for cutter, before, own in zip(judged, found, scored, strict=True)
        ]
    return found


def _kept(chosen: Chosen) -> discretisation.Mask:
    """The nodes that the masks of a round begin from."""
    return chosen.mask if chosen.reached else np.ones_like(chosen.mask)


def _price(aim: Aim, judged: Sequence[Cutter]) -> lanes.Price:
    """The price of nodes where it follows the judge's loss."""

    def loss(lane: int, tau: Nodes) -> float:
        judge = judged[lane].judge
        return judge.one(nodes.flatten(judge.config, tau, judge.sites) > 0)

    return lanes.Price(aim.target, loss)


def deck_of(config: ModelConfig, length: int, aim: Aim, memory: float) -> Deck:
    """How many lanes run at once, for prompts of this length."""
    plan = Plan(config, aim.effort.pairs, CALL, aim.final, aim.tied, aim.gates)
    return lanes.deck(plan, length, memory, aim.effort.settings)


def cutters(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    cases: Sequence[Case],
    aim: Aim,
    report: Reporter,
) -> list[Cutter]:
    """For each case a judge on *val*, and for the final choice one on *train*."""
    pattern = {k: np.asarray(x) for k, x in edges.patterns(config, params).items()}
    judge = functools.partial(
        Judge, config, params, means, honest=aim.honest > 0, seed=aim.seed,
        faithful=aim.faithful > 0,
    )  # fmt: skip

    def cutter(case: Case) -> Cutter:
        # As many prompts as the smaller pool has: both judges share a program.
        rows = min(len(task.asked.position_B) for task in (case.train, case.val))
        second = judge(task=case.train.rows(np.arange(rows)))
        name = f"{case.name}, {aim.kind}"
        return Cutter(judge(task=case.val), pattern, case.answers, name, report, second)

    return [cutter(case) for case in cases]


def proposals(
    aim: Aim, number: int, count: int, before: Found, first: float
) -> list[tuple[int, Settings]]:
    """(seed, settings) of a round. Until there is a circuit: the defaults and settings
    around them, of which in every other one, in faithful searches in all, the price
    follows the judge, from `first` on. A fixed one finds the smaller circuits, if it
    ends below the target. From a circuit, the price follows in all."""
    rng = np.random.default_rng([aim.seed, number])
    fixed = Settings(honest=aim.honest, faithful=aim.faithful)
    following = dataclasses.replace(fixed, k_coef=first, follows=1.0)
    again = before.chosen.reached
    if again:
        following = dataclasses.replace(following, init_scale=NOISE)
    drawn = []
    for i in range(count):
        centre = following if i % 2 or aim.faithful or again else fixed
        drawn.append(centre if i < 2 and centre not in drawn else _near(centre, rng))
    return [(aim.seed + 1000 * number + i, each) for i, each in enumerate(drawn)]


def _near(settings: Settings, rng: np.random.Generator) -> Settings:
    return dataclasses.replace(
        settings,
        **{
            name: float(getattr(settings, name) * np.exp(s * rng.normal()))
            for name, s in SPREAD.items()
        },
    )


def _improved(
    cutter: Cutter, before: Found, scored: Sequence[_Scored], aim: Aim
) -> Found:
    """The smallest circuit of the best few trials of a round, whose whole curves are
    measured, or the one there was. Nodes are removed from the smallest mask of a trial
    that reaches the target, and from a wide one: of two mechanisms that can stand in
    for each other, the first has lost a part of one, often not of the larger, and no
    removal brings it back."""
    finalists = sorted(scored, key=lambda s: s.rank)[: aim.effort.finalists]
    found = [
        verification.verified(cutter, s.ranking, aim.kind, aim.target)
        for s in finalists
    ]
    chosen = verification.smallest(cutter, [before.chosen, *found])
    if chosen.reached:
        cutter.tell(1, 1, chosen.mask)  # the last one told may have gone too far
    trials = [*before.history, *(s.trial for s in scored)]
    return Found(chosen, trials, (*before.best, verification.size_of(cutter, chosen)))


class _Progress:
    """Reports progress: steps of all lanes and rounds, and sizes of the best."""

    def __init__(self, report: Reporter, cases: Sequence[Case], aim: Aim):
        self.report, self.cases = report, cases
        rounds = aim.effort.rounds
        self.total = len(cases) * sum(n * steps for n, steps in rounds)
        self.rounds = len(rounds)
        self.done = self.round = 0
        self.sizes: dict[str, int] = {}
        name = cases[0].name if len(cases) == 1 else f"{len(cases)} tasks"
        self.stage = f"{name}, {aim.kind}"

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
        name = self.cases[case].name
        if sizes:  # of this round; earlier ones may have had a smaller one
            self.sizes[name] = min([*sizes, self.sizes.get(name, sizes[0])])
