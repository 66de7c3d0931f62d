"""The contents of circuit.json as dataclasses, which are checked when it is read.

Everything is written out, so that a person can read the file, and the report page can
be made from it, without the arrays beside it.
"""

from dataclasses import dataclass, field
from typing import Literal

from sparsetx.config import ModelConfig

VERSION = 2  # 1: without faithful circuits and resampling; still read
READABLE = (1, 2)
CircuitKind = Literal["plain", "honest", "faithful"]
KINDS: tuple[CircuitKind, ...] = ("plain", "honest", "faithful")
Status = Literal["reached", "not reached", "not done by the model"]
REACHED: Status = "reached"
NOT_REACHED: Status = "not reached"
NOT_DONE: Status = "not done by the model"

ShuffledPart = Literal["all", "blocks"]
# Learned masks, with step or hard-concrete gates; and baselines of a few passes.
Rank = Literal["learned", "hard-concrete", "attribution", "integrated"]


@dataclass(frozen=True)
class Model:
    """The model that the circuit was found in."""

    config: ModelConfig = field(default_factory=ModelConfig)
    hash: str = ""  # of all parameters
    tokenizer: str = ""  # its hash
    run: str = ""
    step: int = 0
    shuffled: int | None = None  # seed of the permutation, where weights are shuffled
    shuffled_part: ShuffledPart = "all"  # which matrices are


@dataclass(frozen=True)
class Size:
    nodes: int = 0
    edges: int = 0
    constants: int = 0
    edges_plus: int = 0
    pairs: int = 0
    boundary: int = 0
    effective_edges: int | None = None


@dataclass(frozen=True)
class Losses:
    """Losses on one pool, in nats; only `calibrated` is calibrated."""

    mean: float = 0.0
    frozen: float | None = None  # None, here and below: not measured on this pool
    stochastic: float | None = None  # 95th percentile
    stochastic_mean: float | None = None
    H: float | None = None
    together: float | None = None  # other nodes resampled: 95th percentile
    together_accuracy: float | None = None
    apart: float | None = None
    apart_accuracy: float | None = None
    F: float | None = None
    templates: tuple[float, ...] = ()  # F of the prompts of each template, if measured
    epsilon: float | None = None  # at which the worst mixture makes it guess; 1: none
    accuracy: float = 0.0
    distractor_accuracy: float | None = None  # on pairs with a distractor
    calibrated: float = 0.0
    whole_loss: float | None = None  # of the unpruned model
    whole_accuracy: float | None = None


@dataclass(frozen=True)
class Calibration:
    scale: float = 1.0
    tokens: tuple[int, ...] = ()
    shift: tuple[float, ...] = ()  # of these tokens, nats


@dataclass(frozen=True)
class Curve:
    """Sizes and losses of the first nodes of the chosen ranking, by how many."""

    nodes: tuple[int, ...] = ()
    edges_plus: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()


@dataclass(frozen=True)
class History:
    """Every lane of the search: an entry in each column. And `best`: the edges⁺ of the
    smallest circuit after each round, -1 while there is none."""

    round: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    seed: tuple[int, ...] = ()
    k_coef: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()
    init_bias: tuple[float, ...] = ()
    temperature: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()  # of its mask at the end of training
    edges_plus: tuple[int, ...] = ()  # at the target; -1 where it was not reached
    best: tuple[int, ...] = ()


@dataclass(frozen=True)
class Search:
    """The settings of the search."""

    target: float = 0.15
    honest: float = 1.0
    faithful: float = 0.0
    rank: Rank = "learned"
    seed: int = 0
    rounds: tuple[str, ...] = ()  # "lanes x steps"
    pairs: int = 0  # in a batch
    finalists: int = 2  # masks whose whole curves were measured
    final: bool = False
    tied: bool = False
    train_pairs: int = 0
    val_pairs: int = 0
    test_pairs: int = 0
    length: int = 0  # the most tokens in a prompt
    pools: str = ""  # hash of all prompts and answers
    mean_tokens: int = 0  # over which the means were taken
    mean_hash: str = ""

    @property
    def kind(self) -> CircuitKind:
        """Plain, honest or faithful: by the ablations it was searched under."""
        if self.faithful:
            return "faithful"
        return "honest" if self.honest else "plain"


@dataclass(frozen=True)
class Facts:
    version: int = VERSION
    task: str = ""
    status: Status = NOT_REACHED
    loss: float = 0.0  # calibrated, on the test pool
    model: Model = Model()
    search: Search = Search()
    size: Size = Size()
    train: Losses = Losses()
    val: Losses = Losses()
    test: Losses = Losses()
    calibration: Calibration = Calibration()
    curve: Curve = Curve()
    history: History = History()
    nodes: tuple[str, ...] = ()  # "site/layer/index", in the order of computation
    versions: tuple[str, ...] = ()  # of the packages it was made with


@dataclass(frozen=True)
class Rung:
    """One ablation, and whether the circuit holds under it: None if not measured."""

    name: str
    figure: float | None  # loss in nats; of the worst case, ε
    holds: bool | None

    def __str__(self) -> str:
        if self.figure is None:
            return f"{self.name} ?"
        if self.holds is None:
            return f"{self.name} ε {self.figure:.2f}"
        return f"{self.name} ✓" if self.holds else f"{self.name} ✗ {self.figure:.2f}"


def ladder(facts: Facts) -> tuple[Rung, ...]:
    """Under which ablations a circuit holds its target on the test pool, the mildest
    first. The worst case has no verdict: over [0, 1] an adversary breaks everything."""
    test, target = facts.test, facts.search.target
    resampled = [x for x in (test.together, test.apart) if x is not None]
    figures = {
        "mean": test.mean,
        "norms": test.frozen,
        "mixtures": test.stochastic,
        "other prompts": max(resampled, default=None),
    }
    rungs = [
        Rung(name, x, None if x is None else x <= target) for name, x in figures.items()
    ]
    return (*rungs, Rung("worst case", test.epsilon, None))


def ladder_line(facts: Facts) -> str:
    """`mean ✓ · norms ✓ · mixtures ✓ · other prompts ✗ 0.47 · worst case ε 0.39`."""
    return " · ".join(map(str, ladder(facts)))
