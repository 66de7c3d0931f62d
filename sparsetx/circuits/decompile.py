"""A circuit written down as a program: short, standalone, NumPy alone, to be read.

Each kept node is one statement, named after what it does; what is pruned is folded into
constants; what words alone decide stands in a table of words. A program is run on every
pair that is given before it is handed out, and refused where it does not agree with the
circuit.

AbsTopK chooses among all channels of a site, which a short program does not hold. A
choice that words alone decide is in the table; any other is written as the shortest
rule that is right at every place of the given prompts (choices.py). Where there is no
such rule, or a program would be long, there is none, and a plain message says why.

Departure: positions that are added to embeddings make a word of every token at every
place, so that such a program only knows words of the given prompts.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.block import NORM_EPS
from sparsetx.circuits import arrays, describe, fold, prose, rivals, text, watch
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.fold import Folded
from sparsetx.circuits.statements import Body
from sparsetx.errors import Refusal
from sparsetx.nodes import Node
from sparsetx.tasks.pairs import Pairs

AGREE = 1e-5  # of the larger of 1 and the logit: what a program may be off
LONGEST = 150  # lines; and of a circuit with more edges than 60, this for every 60
FEW = 48  # words that may differ from all others of the vocabulary
ANSWERS = 8  # tokens among which answers are: each has a statement

HELPERS = {
    "above(": '''def above(cut, x):
    """AbsTopK, as far as it concerns one channel: what is small is not kept."""
    return np.where(np.abs(x) > cut, x, 0.0)''',
    "outside(": '''def outside(low, high, x):
    """The same, where what must be passed is not alike on both sides."""
    return np.where((x < low) | (x > high), x, 0.0)''',
    " cut(": '''def cut(count, rivals, given, act=lambda x: x):
    """How large a channel must be for AbsTopK to keep it: what lies half way between
    the last that is kept and the first that is not."""
    sums = {channel: constant for channel, constant in rivals["always"].items()}
    for name, value in given.items():
        for channel, weight in rivals[name].items():
            sums[channel] = sums[channel] + weight * value
    sizes = np.sort(np.abs(act(np.stack(np.broadcast_arrays(*sums.values())))), 0)
    return (sizes[-count] + sizes[-count - 1]) / 2''',
    " gelu(": """def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))""",
    " relu(": """def relu(x):
    return np.maximum(x, 0.0)""",
    "rms(": """def rms(squares):
    return np.sqrt(squares / {wide} + {eps})""",
    "look_back(": '''def look_back(scores, shape, sink=-np.inf):
    """How much the last token, or each in its turn, looks at those up to itself."""
    scores = np.broadcast_to(scores, shape)
    if scores.ndim == 2:
        scores = np.where(np.tril(np.ones(shape, bool)), scores, -np.inf)
    top = np.maximum(scores.max(-1, keepdims=True), sink)
    looks = np.exp(scores - top)
    return looks / (looks.sum(-1, keepdims=True) + np.exp(sink - top))''',
}


TELL = {
    True: [
        "",
        "    def told(what):",
        "        other = ANY.get(what, 0.0)",
        "        return np.array([WORDS.get(w, {}).get(what, other) for w in words])",
    ],
    False: [
        "    unknown = [word for word in words if word not in WORDS]",
        "    if unknown:",
        '        raise ValueError(f"words that the table does not know: {unknown}")',
        "",
        "    def told(what):",
        "        other = ANY.get(what, 0.0)",
        "        return np.array([WORDS[w].get(what, other) for w in words])",
    ],
}
MAIN = """if __name__ == "__main__":
    for answer, logit in answer_logits(sys.argv[1:] or EXAMPLE).items():
        print(f"{logit:9.4f}  {answer!r}")"""


@dataclass(frozen=True)
class Program:
    text: str
    lines: int
    tables: int  # of them, lines of the table of words
    off: float  # the largest difference of a logit, over the larger of 1 and itself
    accuracy: float
    pairs: int


def written(
    circuit: Circuit,
    pairs: Pairs,
    token: Callable[[int], str],
    most: int | None = None,
) -> Program:
    """The program of a circuit, checked on these pairs; or a Refusal."""
    _check(circuit, pairs)
    own = arrays.of(circuit)
    sample = watch.of(circuit, pairs.tokens_BL, pairs.position_B)
    described = describe.of(sample, own.kept, token)
    told = {node: d.text for node, d in described.items()}
    titles = {node: d.title for node, d in described.items()}
    folded = fold.of(own, text.real(pairs))
    _check_words(circuit, folded, pairs, token)
    body = _body(circuit, folded, titles, told, pairs, token)
    most = most or LONGEST * max(1, -(-len(own.edges) // 60))
    source, tables = _assembled(circuit, body, pairs, token)
    lines = source.count("\n")
    if lines > most:
        raise Refusal(
            f"the program of {circuit.task} would have {lines} lines, {tables} of them "
            f"tables ({len(body.folded.everywhere)} words): more than {most}, and not "
            "to be read. Ask for more with --lines, or cut a smaller circuit"
        )
    off, accuracy = _agreement(circuit, source, pairs, token)
    return Program(source, lines, tables, off, accuracy, len(pairs))


def _check(circuit: Circuit, pairs: Pairs) -> None:
    """Refuse what has no program of this kind."""
    config, what = circuit.config, f"the circuit of {circuit.task} cannot be written"
    answers = np.unique(pairs.answers_B2)
    reasons = {
        "its task asks for one token against all others of the vocabulary, not for two "
        "answers": pairs.one_token,
        f"its pairs have {len(answers)} answers, and each would be a statement: wanted "
        f"at most {ANSWERS}": not pairs.one_token and len(answers) > ANSWERS,
        "positions are read beside the residual": bool(config.d_pos),
        "the residual itself passes a ReLU or AbsTopK": config.residual != "identity"
        or bool({*nodes.RESIDUAL_SITES} & {*nodes.active_sites(config)}),
        f"its model rounds to {config.compute} at every site": config.compute
        != "float32",
        "its mask has nodes on the last residual": nodes.FINAL in circuit.keep,
    }
    refuse = [reason for reason, holds in reasons.items() if holds]
    if refuse:
        raise Refusal(f"{what}: " + "; ".join(refuse))


def _check_words(
    circuit: Circuit, folded: Folded, pairs: Pairs, token: Callable[[int], str]
) -> None:
    """Refuse tokens that look alike: some hold only a part of a character."""
    own = {t for row in folded.rows for t in row} | {*np.unique(pairs.answers_B2)}
    texts = Counter(token(int(t)) for t in own)
    alike = [f"{n} tokens are both written {t!r}" for t, n in texts.items() if n > 1]
    if alike:
        raise Refusal(
            f"the circuit of {circuit.task} cannot be written: " + "; ".join(alike)
        )


def _body(
    circuit: Circuit,
    folded: Folded,
    titles: Mapping[Node, str],
    told: Mapping[Node, str],
    pairs: Pairs,
    token: Callable[[int], str],
) -> Body:
    """With a table of the whole vocabulary, if few of its tokens stand out."""
    answers = {int(t): token(int(t)) for t in np.unique(pairs.answers_B2)}
    calibration = circuit.calibration
    wholes = (False,) if folded.placed else (True, False)
    for whole in wholes:
        known = dataclasses.replace(folded, vocabulary=whole)
        body = Body(known, prose.names(known.own.kept, titles), told)
        body.write()
        body.answers(answers, calibration.scale, calibration.shift)
        by_prompts = any(name.startswith("keeps_") for name in body.columns)
        if body.unruly or (not by_prompts and len(_rows(body)[0]) <= FEW):
            break
    if body.unruly:
        listed = ", ".join(map(name_of, body.unruly[:6]))
        more = len(body.unruly) - 6
        raise Refusal(
            f"the circuit of {circuit.task} cannot be written as a short program: no "
            "rule tells when AbsTopK keeps "
            + listed
            + (f" and {more} more" if more > 0 else "")
            + f" of its {len(folded.own.kept)} nodes. It chooses among all channels of "
            "their sites, most of them outside the circuit"
        )
    return body


def _rows(body: Body) -> tuple[dict[Hashable, dict[str, float]], dict[str, float]]:
    """{word: what it says}, and what any other word says."""
    usual = {
        name: Counter(column.values()).most_common(1)[0][0]
        for name, column in body.columns.items()
    }
    rows: dict[Hashable, dict[str, float]] = {}
    for name, column in body.columns.items():
        for word, value in column.items():
            if value != usual[name]:
                rows.setdefault(word, {})[name] = value
    return rows, {name: value for name, value in usual.items() if value}


def _assembled(
    circuit: Circuit, body: Body, pairs: Pairs, token: Callable[[int], str]
) -> tuple[str, int]:
    """The text of a program, and how many lines of it are its table."""
    statements = "\n".join(body.lines)
    wide = str(body.folded.config.d_model)
    helpers = [
        code.replace("{wide}", wide).replace("{eps}", prose.number(NORM_EPS))
        for call, code in HELPERS.items()
        if call in statements
    ]
    math = ["import math"] if any("math." in code for code in helpers) else []
    table = _table(body, token) if body.columns else []
    competing = [rivals.lines(rows, name) for name, rows in body.tables.items()]
    words = "list(enumerate(tokens))" if body.folded.placed else "list(tokens)"
    start = [
        "def answer_logits(tokens):",
        '    """{answer: calibrated logit} after a prompt, given as strings."""',
        f"    words, logits = {words}, {{}}",
        *(["    n = len(words)"] if re.search(r"\bn\b", statements) else []),
        *(TELL[body.folded.vocabulary] if body.columns else []),
    ]
    example = [token(t) for t in text.real(pairs)[0]]
    parts = [
        _header(circuit, body, pairs),
        "\n".join([*math, "import sys", "", "import numpy as np"]),
        *(["\n".join(table)] if table else []),
        *("\n".join(rows) for rows in competing),
        *("\n" + code for code in helpers),
        "\n" + "\n".join(start) + "\n" + statements + "\n    return logits",
        "\n" + "\n".join(prose.listed("EXAMPLE", list(map(prose.quoted, example)))),
        MAIN,
    ]
    return "\n\n".join(parts) + "\n", len(table) + sum(map(len, competing))


def _table(body: Body, token: Callable[[int], str]) -> list[str]:
    rows, usual = _rows(body)
    if not body.folded.vocabulary:
        rows = {word: rows.get(word, {}) for word in body.folded.everywhere}
    lines = ["WORDS = {"]
    for word, row in rows.items():
        said = [_said(name, value) for name, value in row.items()]
        lines += prose.entry(_word(word, token), said)
    rest = [_said(name, value) for name, value in usual.items()]
    return [*lines, "}", *prose.listed("ANY", rest, "{}")]


def _word(word: Any, token: Callable[[int], str]) -> str:
    if isinstance(word, tuple):
        place, here = word
        return f"({place}, {prose.quoted(token(here))})"
    return prose.quoted(token(word))


def _said(name: str, value: float) -> str:
    return f"{prose.quoted(name)}: {prose.number(value)}"


def _header(circuit: Circuit, body: Body, pairs: Pairs) -> str:
    """What it is, and what was worked out beforehand."""
    folded, facts = body.folded, circuit.facts
    kept, joined = len(folded.own.kept), len(folded.own.edges)
    known = "WORDS and ANY hold what a token says by its embedding alone"
    if body.columns and folded.vocabulary:
        known += ": ANY is for all tokens of the vocabulary that are not listed."
    elif body.columns:
        each = "each token at each place" if folded.placed else "the tokens"
        known += (
            f", for {each} of the prompts that it was checked on; it knows no others."
        )
    paragraphs = [
        f"The circuit of {circuit.task}, written down by sparsetx: {kept} nodes, "
        f"{joined} edges.",
        "Every kept node is a statement, named after what it was seen to do. Pruned "
        "nodes are folded into constants"
        + (
            f"; {len(body.silent)} kept nodes that say nothing are left out."
            if body.silent
            else "."
        ),
        known if body.columns else "",
        _chosen(body),
        f"It gives the circuit's calibrated answers on all {len(pairs)} pairs of the "
        f"{pairs.split} pool, within {AGREE:g} (of the larger of 1 and the logit)."
        + (
            f" The model was {facts.model.run}, step {facts.model.step}."
            if facts.model.run
            else ""
        ),
    ]
    first, *others = [prose.paragraph(part) for part in paragraphs if part]
    return '"""' + "\n\n".join([first, *others]).replace("\\", "\\\\") + '\n"""'


def _chosen(body: Body) -> str:
    """What the header says of AbsTopK."""
    if not nodes.active_sites(body.folded.config):
        return ""
    return (
        "AbsTopK keeps the largest of each site. Where words decide alone it is in the "
        "table; else it is written as the shortest rule that is right at every token "
        "of these pairs, and need not be on others: a threshold, or, where there is "
        "none, the largest of those channels of the site that are kept at times."
    )


def _agreement(
    circuit: Circuit, source: str, pairs: Pairs, token: Callable[[int], str]
) -> tuple[float, float]:
    """How far the program is off, and how often it is right."""
    space: dict[str, Any] = {"__name__": "circuit"}
    exec(compile(source, "<circuit>", "exec"), space)
    wanted_B2 = circuit.answer_logits(
        pairs.tokens_BL, pairs.position_B, pairs.answers_B2
    ).astype(np.float64)
    found_B2 = np.empty_like(wanted_B2)
    for i, row in enumerate(text.real(pairs)):
        logits = space["answer_logits"]([token(t) for t in row])
        found_B2[i] = [logits[token(int(t))] for t in pairs.answers_B2[i]]
    off_B2 = np.abs(found_B2 - wanted_B2) / np.maximum(1, np.abs(wanted_B2))
    off = float(off_B2.max())
    if not off <= AGREE:
        raise Refusal(
            f"the program of {circuit.task} does not agree with the circuit: it is off "
            f"by {off:.2g} of a logit on pair {int(off_B2.max(1).argmax()) // 2}, "
            f"wanted at most {AGREE:g}. It is not written"
        )
    return off, float((found_B2[:, 0] > found_B2[:, 1]).mean())
