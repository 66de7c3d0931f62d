"""Roofline model: the least time of a program on a slice, and the cost of a run.

Each instruction takes the longest of its times on the matrix unit, the vector unit and
HBM; instructions run one after another. Exchanges that the program waits for are added,
with all links of a chip busy and a microsecond per hop; other exchanges run in
parallel. A real step takes longer. The vector unit's rate is an estimate (topology.py).
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from sparsetx import projection
from sparsetx.aot.operation_counts import Exchange, Tally, Work
from sparsetx.aot.topology import Slice
from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.model.kernels.plan import LANES
from sparsetx.training.speed import Yardstick

HOP = 1e-6  # seconds to the next chip
HOUR = 3600.0


@dataclass(frozen=True)
class Roofline:
    """Seconds of a call; the first four are the times of each unit alone."""

    matrix: float
    vector: float
    hbm: float
    wires: float
    step: float

    @property
    def bound_by(self) -> str:
        parts = {
            "matrix unit": self.matrix,
            "vector unit": self.vector,
            "HBM": self.hbm,
            "wires": self.wires,
        }
        return max(parts, key=lambda name: parts[name])


def of(tally: Tally, here: Slice) -> Roofline:
    chip = sum(w.times * seconds(w, here) for w in tally.work if w.waits)
    waited = sum(e.times * exchange(e, here) for e in tally.exchanges if e.waits)
    beside = sum(e.times * exchange(e, here) for e in tally.exchanges if not e.waits)
    hbm = tally.hbm / here.hbm_rate
    return Roofline(
        matrix=sum(w.times * w.passes for w in tally.work) / here.products,
        vector=tally.vector / here.vector,
        hbm=hbm,
        wires=waited + beside,
        step=max(max(chip, hbm) + waited, beside),
    )


def seconds(work: Work, here: Slice) -> float:
    """Seconds of one execution of an instruction."""
    return max(
        work.passes / here.products,
        work.vector / here.vector,
        work.hbm / here.hbm_rate,
    )


def exchange(one: Exchange, here: Slice) -> float:
    """Seconds of one exchange: bytes that a chip sends, and hops around the torus."""
    n = one.devices
    if n < 2:
        return 0.0
    sent = {
        "all-reduce": 2 * one.bytes * (n - 1) / n,
        "reduce-scatter": one.bytes * (n - 1),
        "collective-permute": one.bytes,
    }.get(one.kind, one.bytes * (n - 1) / n)
    axes = sum(size > 1 for size in here.sizes)
    hops = axes * float(n) ** (1 / axes) / 2
    around = 2 if one.kind == "all-reduce" else 1
    return float(sent / here.wires + HOP * hops * around)


@dataclass(frozen=True)
class Expected:
    """Operations per token, computed from the configuration.

    A product with a matrix of n entries is 2n operations forwards and 4n backwards.
    Attention is counted as computed: the whole square, though half of it is masked; by
    a kernel, tiles up to the diagonal, and backwards the scores once more.
    Rematerialised blocks are computed once more.
    """

    matrices: float  # entries of all matrices that activations are multiplied with
    attention: float  # operations of the forward pass, for the whole square
    again: float  # operations of the forward pass that are done twice
    tiles: float = 1.0  # part of the square that is computed
    backwards: float = 2.0  # operations of attention backwards, to those forwards

    @property
    def useful(self) -> float:
        """Operations of training, without those done twice."""
        return 6 * self.matrices + 3 * self.attention

    @property
    def training(self) -> float:
        attention = self.tiles * self.attention
        return 6 * self.matrices + (1 + self.backwards) * attention + self.again

    @property
    def forwards(self) -> float:
        return 2 * self.matrices + self.tiles * self.attention


def expected(config: RunConfig, kernel: bool = False) -> Expected:
    """`kernel`: attention is the kernel's."""
    shape = config.model
    sizes = {
        p.path: float(p.shape[0]) * p.shape[1] * (shape.n_layer if p.stacked else 1)
        for p in parameters.table(shape)
        if p.kind == "matrix" and p.path[0] != parameters.EMBED
    }
    blocks = sum(n for path, n in sizes.items() if path[0] == parameters.BLOCKS)
    attention = 4.0 * shape.context * shape.d_attn * shape.n_layer
    tiles, backwards = 1.0, 2.0
    if kernel:
        count = -(-shape.context // LANES)
        tiles, backwards = (count + 1) / (2 * count), 2.5
    again = 2 * blocks + tiles * attention if shape.remat else 0.0
    return Expected(sum(sizes.values()), attention, again, tiles, backwards)


@dataclass(frozen=True)
class Bill:
    """Time and cost of a whole run at the roofline; a real run takes more."""

    steps: int
    tokens: float
    hours: float
    usd: float

    @property
    def usd_per_billion(self) -> float:
        """USD for 10^9 tokens."""
        return self.usd / self.tokens * 1e9


def bill(config: RunConfig, step: float, here: Slice, price: float) -> Bill:
    tokens = float(config.train.steps) * config.train.batch * config.model.context
    hours = config.train.steps * step / HOUR
    return Bill(config.train.steps, tokens, hours, hours * here.chips * price)


def yardstick(config: RunConfig, here: Slice, step: Tally | None) -> Yardstick:
    """What training on a slice is held against; `step`: its compiled step, counted."""
    tokens = float(config.train.batch) * config.model.context
    t = jnp.arange(config.train.steps + 1, dtype=jnp.float32) / config.train.steps
    spared = np.zeros(config.train.steps + 1)  # operations of a token, by step
    for budget in projection.budgets(config):
        parameter = budget.parameter
        if parameter.kind == "matrix" and parameter.path[0] != parameters.EMBED:
            layers = config.model.n_layer if parameter.stacked else 1
            kept = np.asarray(projection.kept_now(config, budget, t), np.float64)
            spared += 6.0 * layers * (budget.size - kept)
    useful = expected(config).useful
    return Yardstick(
        peak=here.chips * here.products,
        dense=useful * tokens,
        nonzeros=lambda done: float(useful - spared[done]) * tokens,
        least=None if step is None else of(step, here).step,
    )


def utilisation(config: RunConfig, step: float, here: Slice) -> float:
    """Upper bound of the MFU: useful operations over the matrix units' peak."""
    tokens = float(config.train.batch) * config.model.context
    return expected(config).useful * tokens / (step * here.chips * here.products)
