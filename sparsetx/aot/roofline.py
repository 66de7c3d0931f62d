"""The least time that a program can take on a slice, and what that costs.

Each instruction takes as long as the slowest of what it needs: the matrix unit, the
vector unit, or HBM; one comes after another. Exchanges that are waited for are added,
with all links of a chip busy and a microsecond for each hop; the others run beside the
rest. A real step takes longer. The vector unit's rate is our estimate (topology.py).
"""

from dataclasses import dataclass

from sparsetx.aot.operation_counts import Exchange, Tally, Work
from sparsetx.aot.topology import Slice
from sparsetx.config import RunConfig
from sparsetx.model import parameters

HOP = 1e-6  # seconds to the next chip
HOUR = 3600.0


@dataclass(frozen=True)
class Roofline:
    """Seconds of a call; the first four are what each part would need alone."""

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
    """Of one time."""
    return max(
        work.passes / here.products,
        work.vector / here.vector,
        work.hbm / here.hbm_rate,
    )


def exchange(one: Exchange, here: Slice) -> float:
    """Seconds of one time: what a chip must send, and the way around the torus."""
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
    """Operations of one token, from the configuration alone.

    A product of a matrix with n entries is 2n operations forwards and 4n backwards.
    Attention is counted as it is computed, all of the square though half is masked.
    Rematerialised blocks are computed once more.
    """

    matrices: float  # entries of the matrices that are multiplied with
    attention: float  # operations forwards
    again: float  # operations forwards that are done twice

    @property
    def useful(self) -> float:
        """Of training, with nothing done twice."""
        return 6 * self.matrices + 3 * self.attention

    @property
    def training(self) -> float:
        return self.useful + self.again

    @property
    def forwards(self) -> float:
        return 2 * self.matrices + self.attention


def expected(config: RunConfig) -> Expected:
    shape = config.model
    sizes = {
        p.path: float(p.shape[0]) * p.shape[1] * (shape.n_layer if p.stacked else 1)
        for p in parameters.table(shape)
        if p.kind == "matrix" and p.path[0] != parameters.EMBED
    }
    blocks = sum(n for path, n in sizes.items() if path[0] == parameters.BLOCKS)
    attention = 4.0 * shape.context * shape.d_attn * shape.n_layer
    again = 2 * blocks + attention if shape.remat else 0.0
    return Expected(sum(sizes.values()), attention, again)


@dataclass(frozen=True)
class Bill:
    """Of a whole run, at the roofline: it will be more."""

    steps: int
    tokens: float
    hours: float
    usd: float

    @property
    def usd_per_billion(self) -> float:
        """For 10^9 tokens."""
        return self.usd / self.tokens * 1e9


def bill(config: RunConfig, step: float, here: Slice, price: float) -> Bill:
    tokens = float(config.train.steps) * config.train.batch * config.model.context
    hours = config.train.steps * step / HOUR
    return Bill(config.train.steps, tokens, hours, hours * here.chips * price)


def utilisation(config: RunConfig, step: float, here: Slice) -> float:
    """The most of the matrix units' peak that useful work can reach."""
    tokens = float(config.train.batch) * config.model.context
    return expected(config).useful * tokens / (step * here.chips * here.products)
