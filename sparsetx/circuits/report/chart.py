"""Small charts, as SVG text: sizes on a logarithmic scale, and a loss over sizes."""

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, LABEL, ROW = 720, 210, 26
COLOURS = ("#1f6f5c", "#b5541c", "#7a5ea8", "#3b6ea5", "#8a8a2a")


Sized = tuple[str, Sequence[float | None]]  # a task, and a size for each model


def dots(rows: Sequence[Sized], names: Sequence[str]) -> str:
    """A row for each task, a dot for each model; a cross where it has no circuit."""
    values = [max(v, 1) for _, found in rows for v in found if v is not None]
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)) + 1e-9)

    def x(value: float) -> float:
        share = (np.log10(max(value, 1)) - low) / max(high - low, 1)
        return LABEL + float(share) * (WIDTH - LABEL - 70)

    height = ROW * (len(rows) + 2)
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img">']
    for i, name in enumerate(names):
        at = LABEL + i * (WIDTH - LABEL) / len(names)
        parts.append(f'<circle cx="{at:.0f}" cy="12" r="5" fill="{_colour(i)}"/>')
        parts.append(f'<text x="{at + 9:.0f}" y="16">{escape(name)}</text>')
    for power in range(int(low), int(high) + 1):
        at = x(10.0**power)
        parts.append(
            f'<line class="grid" x1="{at:.0f}" x2="{at:.0f}" y1="{ROW}" '
            f'y2="{height - ROW}"/><text x="{at:.0f}" y="{height - 8}" '
            f'text-anchor="middle">{10**power:,}</text>'
        )
    for row, (task, found) in enumerate(rows):
        y = ROW * (row + 1.5)
        parts.append(
            f'<text x="{LABEL - 12}" y="{y + 4:.0f}" text-anchor="end">'
            f"{escape(task)}</text>"
        )
        for i, value in enumerate(found):
            if value is None:
                parts.append(_cross(WIDTH - 8 - 10 * i, y, i, names[i]))
                continue
            parts.append(
                f'<circle cx="{x(value):.1f}" cy="{y:.0f}" r="6" fill="{_colour(i)}">'
                f"<title>{escape(names[i])}: {value:,.0f} edges</title></circle>"
            )
    return "\n".join([*parts, "</svg>"])


def _cross(x: float, y: float, number: int, name: str) -> str:
    return (
        f'<path d="M{x - 4} {y - 4:.0f} l8 8 m-8 0 l8 -8" stroke="{_colour(number)}">'
        f"<title>{escape(name)}: no circuit reached the target</title></path>"
    )


def curve(
    points: Sequence[tuple[float, float]], target: float, chosen: tuple[float, float]
) -> str:
    """Loss over edges⁺ of circuits along the ranking; the target, and what was taken
    after removals."""
    if len(points) < 2:
        return ""
    wide, high, edge = 480, 180, 40
    sizes = [max(size, 1) for size, _ in [*points, chosen]]
    losses = [loss for _, loss in points]
    left, right = np.log10(min(sizes)), np.log10(max(sizes))
    top = min(max(*losses, target), 3.0)

    def place(size: float, loss: float) -> tuple[float, float]:
        share = (np.log10(max(size, 1)) - left) / max(right - left, 1e-9)
        x = edge + float(share) * (wide - edge - 10)
        return x, high - 24 - (high - 40) * min(loss, top) / top

    path = " ".join(
        f"{'ML'[i > 0]}{x:.1f} {y:.1f}"
        for i, (x, y) in enumerate(place(*point) for point in sorted(points))
    )
    _, line = place(1, target)
    x, y = place(*chosen)
    return (
        f'<svg class="chart small" viewBox="0 0 {wide} {high}" role="img">'
        f'<path class="target" d="M{edge} {line:.1f} H{wide}"/>'
        f'<path class="curve" d="{path}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_colour(0)}">'
        f"<title>taken: {chosen[0]:,.0f} edges+, {chosen[1]:.3f} nats</title></circle>"
        f'<text x="{edge}" y="{high - 6}">{10**left:,.0f}</text>'
        f'<text x="{wide - 10}" y="{high - 6}" text-anchor="end">{10**right:,.0f} '
        f'edges+</text><text x="4" y="{line + 4:.1f}">{target}</text>'
        f'<text x="4" y="14">{top:.2f} nats</text></svg>'
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
