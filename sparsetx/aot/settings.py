"""Find settings that fit a slice or are fastest: remat, accumulate, fsdp.

These change the speed and memory of a run, but not what it computes. Programs other
than the training step have fewer of them: evaluation and projection only fsdp, the
search for circuits the pairs of a batch and the length of a prompt.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sparsetx import config as configuration
from sparsetx.aot import program, roofline, topology
from sparsetx.aot.memory import TooLarge
from sparsetx.aot.program import Compiled
from sparsetx.aot.topology import GIB, Slice
from sparsetx.circuits.search.pruning import Effort
from sparsetx.config import RunConfig
from sparsetx.model import mesh
from sparsetx.system.errors import Refusal
from sparsetx.training import launch, step

TRIES = 6  # programs that are compiled at most to find a setting that fits
WIDEST = 64  # largest fsdp: beyond it, XLA gathers weights by sums of whole arrays
MOST_PARTS = 16  # largest accumulate

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """One choice of the three settings, named as in the configuration."""

    remat: bool
    accumulate: int
    fsdp: int

    @classmethod
    def of(cls, config: RunConfig) -> "Setting":
        return cls(config.model.remat, config.train.accumulate, config.mesh.fsdp)

    def applied(self, config: RunConfig) -> RunConfig:
        return dataclasses.replace(
            config,
            model=dataclasses.replace(config.model, remat=self.remat),
            train=dataclasses.replace(config.train, accumulate=self.accumulate),
            mesh=configuration.MeshConfig(None, self.fsdp),
        )

    @property
    def words(self) -> str:
        """The setting as overrides on the command line."""
        return (
            f"model.remat={str(self.remat).lower()} train.accumulate={self.accumulate} "
            f"mesh.fsdp={self.fsdp}"
        )

    def distance(self, other: "Setting") -> tuple[int, int, int]:
        """Sort key: change from `other` in fsdp, then accumulate, then remat."""
        return (
            abs(self.fsdp.bit_length() - other.fsdp.bit_length()),
            abs(self.accumulate.bit_length() - other.accumulate.bit_length()),
            int(self.remat != other.remat),
        )


def possible(config: RunConfig, here: Slice) -> Iterator[Setting]:
    """Settings that batch, widths and slice allow, and whose state leaves memory
    free."""
    for fsdp in (2**n for n in range(WIDEST.bit_length())):
        if here.chips % fsdp or least(config, here, fsdp) >= here.available:
            continue
        batch, whole = config.train.batch, range(1, MOST_PARTS + 1)
        counts = [n for n in whole if batch % (n * here.chips) == 0]
        for parts, remat in itertools.product(counts, (False, True)):
            setting = Setting(remat, parts, fsdp)
            if not list(configuration.offences(setting.applied(config))):
                yield setting


def widest(config: RunConfig, here: Slice) -> int:
    """The largest power of two up to WIDEST that divides chips and channels."""
    cuts = (1 << n for n in range(WIDEST.bit_length()))
    return max(n for n in cuts if not (here.chips % n or config.model.d_model % n))


def least(config: RunConfig, here: Slice, fsdp: int) -> float:
    """Bytes per chip of the state and a gradient, which every setting needs."""
    sizes = configuration.MeshConfig(None, fsdp)
    devices = mesh.make(sizes, here.chips, topology.devices(here))
    state = launch.state_shapes(config, devices)
    given = [step.as_tree(state), state.params]
    return sum(map(program.on_a_device, given))


def fitting(config: RunConfig, here: Slice, tell: Tell) -> Setting | None:
    """The nearest setting whose training step compiles and fits; None if none does."""
    own = Setting.of(config)
    order = sorted(possible(config, here), key=own.distance)
    order = [s for s in order if s != own and _saves(s, own)]
    for setting in order[:TRIES]:
        if compiled(setting.applied(config), here, tell):
            return setting
    return None


def advice(
    config: RunConfig, here: Slice, which: str, length: int | None, tell: Tell
) -> str | None:
    """The nearest setting with which a program fits, in words of the command line; None
    if none of those that are tried does."""
    if which == "train":
        setting = fitting(config, here, tell)
        return None if setting is None else setting.words
    make = {"eval": program.evaluation, "project": program.projecting}.get(which)
    if make is None:
        return _shorter(config, here, length, tell)
    fsdp = config.mesh.fsdp
    for _ in range(TRIES):
        fsdp *= 2
        wider = dataclasses.replace(config, mesh=configuration.MeshConfig(None, fsdp))
        if fsdp > widest(config, here) or list(configuration.offences(wider)):
            return None
        words = f"mesh.fsdp={fsdp}"
        if _fits(functools.partial(make, program.target(wider, here)), words, tell):
            return words
    return None


def _shorter(
    config: RunConfig, here: Slice, length: int | None, tell: Tell
) -> str | None:
    """Options of `prune`: half of the pairs and half of the length, in turns."""
    pairs = Effort().pairs
    tokens = min(length or program.PROMPT, config.model.context)
    for number in range(TRIES):
        pairs, tokens = (pairs, tokens // 2) if number % 2 else (pairs // 2, tokens)
        if min(pairs, tokens) < 2:
            return None
        words = f"--pairs {pairs} --length {tokens}"
        make = functools.partial(program.prune, config, here, tokens, pairs)
        if _fits(make, words, tell):
            return words
    return None


def _fits(make: Callable[[], Compiled], words: str, tell: Tell) -> bool:
    try:
        found = make()
    except TooLarge as large:
        tell(f"{words}: {large.used / GIB:.2f} GiB, more than there is")
        return False
    tell(f"{words}: {found.memory.peak / GIB:.2f} GiB")
    return True


def _saves(setting: Setting, own: Setting) -> bool:
    """Whether it may take less memory than `own`: no value is lower."""
    return (
        setting.remat >= own.remat
        and setting.accumulate >= own.accumulate
        and setting.fsdp >= own.fsdp
    )


def compiled(config: RunConfig, here: Slice, tell: Tell) -> Compiled | None:
    """The compiled training step, or None if it does not fit."""
    words = Setting.of(config).words
    try:
        found = program.training(program.target(config, here))
    except TooLarge as large:
        tell(f"{words}: {large.used / GIB:.2f} GiB, more than there is")
        return None
    line = roofline.of(found.tally, here)
    tell(
        f"{words}: {found.memory.peak / GIB:.2f} GiB, {1e3 * line.step:,.3g} ms a step"
    )
    return found


def best(config: RunConfig, here: Slice, tell: Tell) -> Setting:
    """The setting with the shortest step, of those tried. Accumulate and remat only
    cost time: larger values are tried only if smaller ones do not fit."""
    found: list[tuple[float, Setting]] = []
    cuts = sorted({s.fsdp for s in possible(config, here)})
    always = {1, 4, 16, 64, widest(config, here), config.mesh.fsdp}
    for fsdp in [cut for cut in cuts if cut in always or len(cuts) < 3]:
        for setting in _cheapest_first(config, here, fsdp):
            made = compiled(setting.applied(config), here, tell)
            if made is not None:
                found.append((roofline.of(made.tally, here).step, setting))
                break
    if not found:
        raise Refusal(
            f"no setting of remat, accumulation and fsdp fits {topology.short(here)}: "
            "wanted a larger slice, or a smaller model"
        )
    return min(found, key=lambda one: one[0])[1]


def _cheapest_first(config: RunConfig, here: Slice, fsdp: int) -> list[Setting]:
    own = [s for s in possible(config, here) if s.fsdp == fsdp]
    return sorted(own, key=lambda s: (s.accumulate, s.remat))[:TRIES]
