"""The contents of circuit.json as dataclasses, which are checked when it is read.

Everything is written out, so that a person can read the file, and the report page can
be made from it, without the arrays beside it.
"""

from dataclasses import dataclass, field
from typing import Literal

from sparsetx.config import ModelConfig

VERSION = 1
Status = Literal["reached", "not reached", "not done by the model"]
REACHED: Status = "reached"
NOT_REACHED: Status = "not reached"
NOT_DONE: Status = "not done by the model"


@dataclass(frozen=True)
class Model:
    """The model that the circuit was found in."""

    config: ModelConfig = field(default_factory=ModelConfig)
    hash: str = ""  # of all parameters
    tokenizer: str = ""  # its hash
    run: str = ""
    step: int = 0
    shuffled: int | None = None  # seed of the permutation, where weights are shuffled


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
    """Every lane of the search: an entry in each column."""

    round: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    seed: tuple[int, ...] = ()
    k_coef: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()
    init_bias: tuple[float, ...] = ()
    temperature: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()  # of its mask at the end of training
    edges_plus: tuple[int, ...] = ()  # at the target; -1 where it was not reached


@dataclass(frozen=True)
class Search:
    """The settings of the search."""

    target: float = 0.15
    honest: float = 1.0
    rank: Literal["learned", "attribution"] = "learned"
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
    def kind(self) -> str:
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
