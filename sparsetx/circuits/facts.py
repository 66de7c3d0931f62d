"""What circuit.json says of a circuit: numbers and names, in a form that is checked.

Everything is spelled out, so that a person can read the file, and a page be drawn of
it, without the arrays beside it.
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
    """The model that was cut."""

    config: ModelConfig = field(default_factory=ModelConfig)
    hash: str = ""  # of all parameters
    tokenizer: str = ""  # its hash
    run: str = ""
    step: int = 0
    shuffled: int | None = None  # the seed by which its weights changed places


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
    """On one pool, in nats; uncalibrated but where it says so."""

    mean: float = 0.0
    frozen: float | None = None  # None, here and below: not measured on this pool
    stochastic: float | None = None  # 95th percentile
    stochastic_mean: float | None = None
    H: float | None = None
    accuracy: float = 0.0
    distractor_accuracy: float | None = None  # on the pairs that carry one
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
    """Circuits along the chosen ranking, from few nodes to many."""

    nodes: tuple[int, ...] = ()
    edges_plus: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()


@dataclass(frozen=True)
class History:
    """Every lane of the search, a column each."""

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
    """What was asked for."""

    target: float = 0.15
    honest: float = 1.0
    rank: Literal["learned", "attribution"] = "learned"
    seed: int = 0
    rounds: tuple[str, ...] = ()  # "lanes x steps"
    pairs: int = 0  # of a batch
    finalists: int = 2  # masks whose whole curves were drawn
    final: bool = False
    tied: bool = False
    train_pairs: int = 0
    val_pairs: int = 0
    test_pairs: int = 0
    length: int = 0  # tokens that a prompt may have
    pools: str = ""  # hash of all prompts and answers
    mean_tokens: int = 0  # behind the means
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
    versions: tuple[str, ...] = ()  # of the packages that made it
