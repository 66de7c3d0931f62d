"""Describe what each node of a circuit does: a title, and a sentence with figures.

Descriptions are computed from activations alone: nothing is known beforehand of a node,
a task or a token. A node that differs from its resting value where the two prompts of a
pair differ, by the same amount in both, is a *detector* of what decides. One that does
so in one of them only, or in both with different values, tells their *type*; a node
whose value at the last token still tells them apart is the type *at the end*. The
characters that the deciding tokens have in common give the name: quote, bracket, word.
Other nodes are described by the tokens that they fire on, where these explain most of
their variance, or by the position.

A sentence is about the prompts of the task; where running text is given as well, the
same figure on that text is added.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sparsetx.circuits.explain import node_statistics
from sparsetx.circuits.explain.node_statistics import NodeStatistics, Sample
from sparsetx.nodes import Node

SURE = 0.95  # AUC from which a node is said to tell things apart
ALIKE = 0.5  # of the larger response: a smaller difference counts as the same response
MUCH = 0.5  # of its variance: what explains more describes the node
NAMED = 4  # tokens that a sentence names, at most
Token = Callable[[int], str]


@dataclass(frozen=True)
class Description:
    title: str  # a few words
    text: str  # with figures
    statistics: NodeStatistics


@dataclass(frozen=True)
class Look:
    """Where a head attends from the last token of prompts."""

    layer: int
    head: int
    text: str
    by_token: dict[int, float]  # mean attention to a position with this token
    most: int  # the token that gets most attention, over all its positions
    apart: float  # fraction that goes where the two prompts of a pair differ
    tells: float  # AUC of attention to these positions against the others
    distance: float  # tokens back, the mean
    sink: float  # fraction that goes to the sink


def of(
    sample: Sample,
    nodes: Sequence[Node],
    token: Token,
    text: Sample | None = None,
) -> dict[Node, Description]:
    """Describe nodes by their activations on a task's prompts (`sample`) and, where it
    is given, on running text."""
    return {node: _described(sample, node, token, text) for node in nodes}


def _described(
    sample: Sample, node: Node, token: Token, text: Sample | None
) -> Description:
    found = node_statistics.of(sample, node)
    subject = decided(sample, token)
    for describe in (_constant, _end, _deciding, _token, _place):
        told = describe(found, sample, node, token, subject)
        if told is not None:
            break
    else:
        told = (
            "",
            (
                f"from {found.low:+.2g} to {found.high:+.2g}; the token explains "
                f"{found.token_share:.0%} of its variance, the one before "
                f"{found.previous_share:.0%}, the position {found.place_share:.0%}"
            ),
        )
    title, sentence = told
    if text is not None:
        sentence += _in_text(node_statistics.of(text, node), found, text, node)
    return Description(title, f"{title}: {sentence}" if title else sentence, found)


Told = tuple[str, str] | None


def _constant(
    f: NodeStatistics, sample: Sample, node: Node, token: Token, what: str
) -> Told:
    if f.high - f.low > 1e-6 * max(abs(f.high), abs(f.low), 1e-3):
        return None
    return "constant", f"{f.mean:.3g} at every token"


def _deciding(
    f: NodeStatistics, sample: Sample, node: Node, token: Token, what: str
) -> Told:
    """A detector or the type of the tokens in which pairs differ."""
    rise = [value - f.rest for value in (f.at_first, f.at_second)]
    larger, gap = max(map(abs, rise)), abs(rise[0] - rise[1])
    if larger < 1e-6 * max(1.0, abs(f.rest)):
        return None
    one, other = (listed(tokens, token) for tokens in sides(sample))
    alike = gap < ALIKE * larger
    sure = max(f.detects, 1 - f.detects)
    if alike and sure >= SURE:
        verb = "fires on" if f.detects > 0.5 else "is lowest on"
        return f"{what} detector", (
            f"{verb} {one} and {other} (AUC {sure:.2f} against other tokens)"
        )
    told = max(f.tells, 1 - f.tells)
    if alike or told < SURE:
        return None
    # Does it respond in first prompts only, in second prompts only, or in both?
    if min(map(abs, rise)) < ALIKE * larger and f.token_share >= MUCH:
        first = abs(rise[0]) > abs(rise[1])
        return f"{what} type", (
            f"fires on {one if first else other}, not on {other if first else one}: "
            f"{pair(f.at_first, f.at_second)} (AUC {told:.2f} between them)"
        )
    return f"{what} type", (
        f"tells {one} from {other}: {pair(f.at_first, f.at_second)} (AUC {told:.2f})"
    )


def _end(
    f: NodeStatistics, sample: Sample, node: Node, token: Token, what: str
) -> Told:
    """The type at the end: the last token tells the two prompts of a pair apart."""
    told = max(f.end_tells, 1 - f.end_tells)
    rows = np.arange(len(sample.tokens_BL))
    there = bool(sample.apart_BL[rows, sample.position_B].any())
    less = abs(f.end_first - f.end_second) < ALIKE * abs(f.at_first - f.at_second)
    if told < SURE or there or less:
        return None
    one, other = (listed(tokens, token) for tokens in sides(sample))
    return f"{what} type at the end", (
        f"at the last token {pair(f.end_first, f.end_second)} after {one} and {other} "
        f"(AUC {told:.2f})"
    )


def _token(
    f: NodeStatistics, sample: Sample, node: Node, token: Token, what: str
) -> Told:
    """A detector or the type of any tokens, where it is far from its resting value."""
    if f.token_share < MUCH:
        return None
    parts, names = [], []
    for sign, verb in ((1, "fires on"), (-1, "is lowest on")):
        above = {t: sign * (m - f.rest) for t, (m, _) in f.by_token.items()}
        top = max(above.values())
        if top < 0.25 * (f.high - f.low):
            continue
        group = {t for t, rise in above.items() if rise > top / 2}
        area = node_statistics.fired(sample, node, group)
        area = area if sign > 0 else 1 - area
        if area >= SURE and len(group) <= len(above) / 2:
            order = sorted(group, key=lambda t: -above[t])
            parts.append(
                f"{verb} {listed(order, token)} (AUC {area:.2f} against other tokens)"
            )
            names.append(common([token(t) for t in group]))
    if not parts:
        return None
    kind = names[0] if len(set(names)) == 1 and names[0] else "token"
    return (f"{kind} detector" if len(parts) == 1 else f"{kind} type"), "; ".join(parts)


def _place(
    f: NodeStatistics, sample: Sample, node: Node, token: Token, what: str
) -> Told:
    if f.place_share < MUCH:
        return None
    share = f"{f.place_share:.0%}"
    return "position", f"the position in the prompt explains {share} of its variance"


def _in_text(f: NodeStatistics, task: NodeStatistics, text: Sample, node: Node) -> str:
    """How it responds to the same tokens in running text."""
    rises = {t: m - task.rest for t, (m, _) in task.by_token.items()}
    top = max(rises.values(), key=abs)
    group = {
        t for t, rise in rises.items() if rise * top > 0 and abs(rise) > abs(top) / 2
    }
    here = np.isin(text.tokens_BL, sorted(group)) & text.real_BL
    mean = f"; in running text {f.mean:+.2g} on average"
    if not here.any() or here[text.real_BL].all():
        return mean
    area = node_statistics.fired(text, node, group)
    return f"{mean}, AUC {max(area, 1 - area):.2f} for the same tokens"


def heads(sample: Sample, token: Token) -> list[Look]:
    """Where each head attends from the last token."""
    return [_look(sample, which, token) for which in sorted(sample.attention)]


def _look(sample: Sample, which: tuple[int, int], token: Token) -> Look:
    rows = np.arange(len(sample.tokens_BL))
    seen_BL = np.asarray(sample.attention[which], np.float64)[rows, sample.position_B]
    real_BL, apart_BL = sample.real_BL, sample.apart_BL
    back_BL = sample.position_B[:, None] - np.arange(seen_BL.shape[1])[None]
    total = float(seen_BL[real_BL].sum())
    kinds, inverse = np.unique(sample.tokens_BL[real_BL], return_inverse=True)
    whole = np.bincount(inverse, seen_BL[real_BL])
    each = whole / np.bincount(inverse)
    by_token = {int(t): float(m) for t, m in zip(kinds, each, strict=True)}
    most = sorted(by_token, key=lambda t: -by_token[t])[:NAMED]
    apart = float(seen_BL[apart_BL].sum()) / max(total, 1e-12)
    tells = node_statistics.auc(seen_BL[apart_BL], seen_BL[real_BL & ~apart_BL])
    distance = float((seen_BL * back_BL)[real_BL].sum()) / max(total, 1e-12)
    sink = 1 - total / len(rows)
    told = f"from the last token it attends most to {listed(most, token)}"
    if apart_BL.any():
        beside = " outside the sink" if sink > 0.005 else ""
        told += (
            f"; {apart:.0%} of its attention{beside} goes where the prompts of a pair "
            f"differ (AUC {tells:.2f} against other positions)"
        )
    told += f"; {distance:.1f} tokens back on average"
    if sink > 0.005:
        told += f"; {sink:.0%} of its attention goes to the sink"
    top = int(kinds[whole.argmax()])
    return Look(*which, told, by_token, top, apart, tells, distance, sink)


# --- words --------------------------------------------------------------------------


def decided(sample: Sample, token: Token) -> str:
    """One word for the tokens in which pairs differ, such as `quote`."""
    texts = [token(int(t)) for t in np.unique(sample.tokens_BL[sample.apart_BL])]
    return common(texts) or "deciding token"


def common(texts: Sequence[str]) -> str:
    """The most specific kind of character that all these tokens have."""
    kinds = (
        ("quote", lambda s: any(c in "\"'" for c in s)),
        ("opening bracket", lambda s: any(c in "([{" for c in s)),
        ("closing bracket", lambda s: any(c in ")]}" for c in s)),
        ("line end", lambda s: "\n" in s),
        ("word", lambda s: s.strip()[:1].isalpha()),
        ("number", lambda s: any(c.isdigit() for c in s)),
        ("space", lambda s: bool(s) and s.isspace()),
        ("sign", lambda s: any(c in string.punctuation for c in s)),
    )
    for name, has in kinds:
        if texts and all(map(has, texts)):
            return name
    return ""


def sides(sample: Sample) -> tuple[list[int], list[int]]:
    """Tokens of first prompts, and of second ones, where the two differ; the most
    frequent first."""
    found = []
    for rows in (sample.first_B, ~sample.first_B):
        here = sample.tokens_BL[sample.apart_BL & rows[:, None]]
        kinds, many = np.unique(here, return_counts=True)
        found.append(kinds[np.argsort(-many, kind="stable")].tolist())
    return found[0], found[1]


def listed(tokens: Sequence[int], token: Token) -> str:
    named = [f"`{_shown(token(t))}`" for t in tokens[:NAMED]]
    more = len(tokens) - len(named)
    if more:
        return f"{', '.join(named)} and {more} more"
    return " and ".join(named) if len(named) < 3 else ", ".join(named)


def _shown(text: str) -> str:
    """A token with spaces at its ends and unprintable characters made visible."""
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if inner else len(text)
    after = len(text) - before - len(inner)
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in inner)
    return f"{'␣' * before}{plain}{'␣' * after}"


def pair(one: float, other: float) -> str:
    large = max(abs(one), abs(other))
    texts = [f"{x:+.1f}" if large >= 1 else f"{x:+.2g}" for x in (one, other)]
    return " / ".join("0" if float(text) == 0 else text for text in texts)
