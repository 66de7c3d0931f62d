"""Results of benchmarks as files: JSON, a table in Markdown, and growth plots."""

import dataclasses
import io
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from sparsetx.bench import timing
from sparsetx.bench.timing import Row
from sparsetx.run import provenance
from sparsetx.system import files

MIB = 2**20
# Distinguishable with red-green colour blindness.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKS = ("o", "s", "^")  # a colour comes again with another mark


def facts() -> dict[str, Any]:
    """What was measured, and on what."""
    devices = jax.devices()
    return {
        "code": provenance.code_state(),
        "versions": provenance.versions(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "others": timing.others(),  # the part of all cores that other processes used
        "devices": f"{len(devices)} x {devices[0].device_kind}",
    }


def write_json(
    path: files.PathLike, found: Mapping[str, Any], rows: Iterable[Row]
) -> None:
    """Seconds and bytes; `ratio` is to the first row of a group."""
    every = [dataclasses.asdict(row) for row in rows]
    files.write_json(path, {"facts": dict(found), "rows": every})


def read_json(path: files.PathLike) -> tuple[dict[str, Any], list[Row]]:
    found = files.read_json(path, "results of a benchmark")
    return found["facts"], [Row(**row) for row in found["rows"]]


def duration(seconds: float) -> str:
    """With three digits that mean something."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 1e-3:
        return f"{1e3 * seconds:.3g} ms"
    return f"{1e6 * seconds:.3g} µs"


def rate(row: Row) -> str:
    """What it does per second, or per element."""
    if row.elements:
        return f"{row.nanoseconds:.3g} ns/element"
    return f"{row.tokens / row.seconds:,.0f} tokens/s" if row.tokens else ""


def memory(row: Row) -> str:
    return f"{row.memory / MIB:,.0f} MiB" if row.memory else ""


def cells(row: Row) -> list[str]:
    """One line of a table: see HEADINGS."""
    if not row.seconds:
        return [row.name, *[""] * (len(HEADINGS) - 2), row.note]
    least = duration(row.least) if row.rounds > 1 else ""
    wide = f"{row.spread:.0%}" if row.rounds > 1 else ""
    return [
        row.name, duration(row.seconds), least, wide, f"{row.ratio:.2f} x",
        rate(row), memory(row), row.note,
    ]  # fmt: skip


HEADINGS = ["", "median", "least", "spread", "ratio", "rate", "memory", ""]


def markdown(found: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """A table for every group."""
    versions, busy = found["versions"], found.get("others", 0.0)
    lines = [
        f"`make bench` on {found['cores']} cores ({found['machine']}), commit "
        f"{found['code'][:7]}, jax {versions['jax']}. Contestants took turns; ratios "
        "are to the first of a table; spread is the interquartile range as a part of "
        "the median."
        + (f" Others used {busy:.0%} of the cores." if busy > timing.BUSY else ""),
    ]
    for group in dict.fromkeys(row.group for row in rows):
        own = [cells(row) for row in rows if row.group == group]
        used = [i for i in range(len(HEADINGS)) if i < 2 or any(c[i] for c in own)]
        lines += ["", f"**{group}**", ""]
        lines.append(_line([HEADINGS[i] for i in used]))
        lines.append(_line(["---"] + ["---:"] * (len(used) - 1)))
        lines += [_line([c[i] for i in used]) for c in own]
    return "\n".join(lines) + "\n"


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def plots(folder: files.PathLike, rows: Sequence[Row]) -> list[Path]:
    """A PNG for every growth plot that has two sizes or more; the files."""
    written = []
    for title in dict.fromkeys(row.plot for row in rows if row.plot):
        own = [row for row in rows if row.plot == title and row.seconds]
        if len({row.size for row in own}) > 1:
            name = "-".join("".join(c if c.isalnum() else " " for c in title).split())
            path = files.place(folder) / f"{name}.png"
            files.write_bytes(path, _plot(title, own))
            written.append(path)
    return written


def _plot(title: str, rows: Sequence[Row]) -> bytes:
    """Medians by size, one line a contestant, and the range from the least time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 5), layout="constrained")
    for i, name in enumerate(dict.fromkeys(row.name for row in rows)):
        own = sorted((r for r in rows if r.name == name), key=lambda r: r.size)
        scale = [1e9 / r.elements if r.elements else 1e3 for r in own]
        middle = [r.seconds * s for r, s in zip(own, scale, strict=True)]
        least = [r.least * s for r, s in zip(own, scale, strict=True)]
        sizes, colour = [r.size for r in own], COLOURS[i % len(COLOURS)]
        mark = MARKS[i // len(COLOURS) % len(MARKS)]
        axis.plot(sizes, middle, marker=mark, color=colour, label=name)
        axis.fill_between(sizes, least, middle, color=colour, alpha=0.15, linewidth=0)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel(rows[0].unit)
    axis.set_ylabel("ns per element" if rows[0].elements else "ms")
    axis.set_title(f"{title} (medians; shaded: down to the least)", fontsize=10)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()
