"""The output of `sparsetx aot`: figures, failed checks, and the lines to print."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparsetx.aot import roofline, topology
from sparsetx.aot.program import Compiled
from sparsetx.aot.roofline import Bill, Roofline
from sparsetx.aot.topology import GIB, Slice
from sparsetx.config import RunConfig

AGREE = 0.10  # relative difference allowed between counted and expected products
LARGEST = 64 * 2**10  # bytes that the projection may exchange in one collective
SHARE = 0.05  # part of a step's time that the projection may take


@dataclass(frozen=True)
class Found:
    """A compiled program of an experiment on a slice, with the price of a chip."""

    experiment: str
    config: RunConfig
    here: Slice
    program: Compiled
    price: float
    priced: str

    @property
    def roofline(self) -> Roofline:
        return roofline.of(self.program.tally, self.here)

    @property
    def bill(self) -> Bill | None:
        """Cost of the whole run; only for the training step."""
        if self.program.name != "train":
            return None
        return roofline.bill(self.config, self.roofline.step, self.here, self.price)

    @property
    def utilisation(self) -> float | None:
        if self.program.name != "train":
            return None
        return roofline.utilisation(self.config, self.roofline.step, self.here)

    @property
    def agreement(self) -> float | None:
        """Products counted divided by products expected, of training and evaluation."""
        kernel = self.program.tally.calls("attention_forward")
        want = roofline.expected(self.config, kernel)
        each = {"train": want.training, "eval": want.forwards}.get(self.program.name)
        if each is None:
            return None
        counted = self.program.tally.products * self.program.devices
        return counted / (each * self.program.tokens)


def offences(found: Sequence[Found]) -> Iterator[str]:
    """The checks that fail, one line each."""
    for one in found:
        program = one.program
        where = f"{one.experiment}, {program.name} on {topology.short(one.here)}"
        ratio = one.agreement
        if ratio is not None and abs(ratio - 1) > AGREE:
            yield f"{where}: {ratio:.2f} times the products that are expected"
        if program.tally.unknown:
            yield f"{where}: loops of unknown length: {program.tally.unknown}"
        if program.given and program.memory.reused < 0.95 * program.given:
            yield (
                f"{where}: of {program.given / GIB:.2f} GiB of donated arguments only "
                f"{program.memory.reused / GIB:.2f} are reused"
            )
        if program.name == "project":
            yield from _projection(one, found, where)


def _projection(one: Found, all_of: Sequence[Found], where: str) -> Iterator[str]:
    program = one.program
    if program.tally.largest > LARGEST:
        yield f"{where}: exchanges {program.tally.largest:,.0f} bytes at once"
    if program.memory.temporary >= 2 * program.memory.arguments:
        yield f"{where}: temporaries as large as two shards or more"
    steps = [
        other.roofline.step
        for other in all_of
        if other.program.name == "train"
        and (other.experiment, other.here.name) == (one.experiment, one.here.name)
    ]
    for step in steps:
        if one.roofline.step > SHARE * step:
            yield f"{where}: takes {one.roofline.step / step:.0%} of a step"


HEAD = (
    "experiment", "slice", "mesh", "program", "HBM GiB", "of", "TFLOP", "/expected",
    "exchanged MB", "matrix ms", "vector ms", "HBM ms", "wires ms", "step ms",
    "Mtok/s", "MFU", "hours", "USD", "compile s",
)  # fmt: skip


def cells(one: Found) -> tuple[str, ...]:
    """A row of the table; figures are for one call, FLOP of all chips together."""
    program, line, bill = one.program, one.roofline, one.bill
    flop = program.tally.products * program.devices / 1e12
    rate = program.tokens / line.step / 1e6
    sizes = one.config.mesh
    data = sizes.data or one.here.chips // sizes.fsdp
    return (
        one.experiment,
        topology.short(one.here),
        f"{data} x {sizes.fsdp}" if program.name != "prune" else "host",
        program.name,
        f"{program.memory.peak / GIB:.2f}",
        f"{one.here.available / GIB:.2f}",
        f"{flop:,.4g}" if flop else "-",
        _or_dash(one.agreement, "{:.3f}"),
        exchanged(program),
        *(
            f"{1e3 * x:,.3g}"
            for x in (line.matrix, line.vector, line.hbm, line.wires, line.step)
        ),
        f"{rate:.3g}" if rate else "-",
        _or_dash(one.utilisation, "{:.0%}"),
        _or_dash(None if bill is None else bill.hours, "{:,.1f}"),
        _or_dash(None if bill is None else bill.usd, "{:,.0f}"),
        f"{program.seconds:.0f}",
    )


def exchanged(program: Compiled) -> str:
    """Collectives of a call by kind: megabytes of results, and number."""
    return (
        ", ".join(
            f"{kind} {size / 1e6:,.4g} ({count:,.0f}x)"
            for kind, (size, count) in sorted(program.tally.by_kind.items())
        )
        or "nothing"
    )


def table(found: Sequence[Found]) -> Iterator[str]:
    """The lines of a table, in Markdown."""
    rows = [HEAD, *map(cells, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for number, row in enumerate(rows):
        padded = [cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)]
        yield f"| {' | '.join(padded)} |"
        if number == 0:
            yield f"|{'|'.join('-' * (wide + 2) for wide in widths)}|"


def details(one: Found) -> Iterator[str]:
    """The lines about one program when no table is printed."""
    program, memory, line = one.program, one.program.memory, one.roofline
    yield (
        f"{program.name}: compiled in {program.seconds:.0f} s"
        + (f"; {program.note}" if program.note else "")
    )
    yield (
        f"  memory     {memory.peak / GIB:.2f} of {one.here.available / GIB:.2f} GiB "
        f"a chip: arguments {memory.arguments / GIB:.2f}, temporary "
        f"{memory.temporary / GIB:.2f}, code {memory.code / GIB:.2f}, results "
        f"{memory.results / GIB:.2f}, of which {memory.reused / GIB:.2f} reuse "
        "arguments"
    )
    largest = f"at most {program.tally.largest:,.0f} bytes at once"
    yield f"  exchanged  {exchanged(program)} MB; {largest}"
    yield (
        f"  a call     at least {1e3 * line.step:,.3g} ms, most of it {line.bound_by}: "
        f"matrix unit {1e3 * line.matrix:,.3g}, vector unit {1e3 * line.vector:,.3g}, "
        f"HBM {1e3 * line.hbm:,.3g}, wires {1e3 * line.wires:,.3g}"
    )
    ratio = one.agreement
    if ratio is not None:
        flop = program.tally.products * program.devices
        yield f"  products   {flop:.4g} FLOP on all chips, {ratio:.3f} x the expected"
    if early := len(program.tally.bounded):
        yield f"  loops      {early} may stop early; they are counted in full"


def costs(one: Found) -> Iterator[str]:
    """The lines about the cost of the whole run."""
    bill, share = one.bill, one.utilisation
    assert bill is not None
    assert share is not None
    rate = one.program.tokens / one.roofline.step
    yield (
        f"{bill.steps:,} steps, {bill.tokens / 1e9:,.4g} G tokens: at most "
        f"{rate / 1e6:,.3g} M tokens/s (MFU {share:.0%}), so at least "
        f"{duration(bill.hours)} and {bill.usd:,.0f} USD"
    )
    yield (
        f"  {bill.usd_per_billion:,.4g} USD for 10^9 tokens, at "
        f"{one.price:.2f} USD per chip and hour ({one.priced})"
    )


def duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours < 72 else f"{hours / 24:,.1f} days"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else form.format(value)
