"""The text of a written-down circuit: what words say, helpers, statements, an example.

What words say stands by column: for each thing that is asked of words, the words that
say something of their own, and what all others say.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from sparsetx import nodes
from sparsetx.block import NORM_EPS
from sparsetx.circuits import prose, rivals, text
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.statements import Body, Column
from sparsetx.tasks.pairs import Pairs

AGREE = 1e-5  # of the larger of 1 and the logit: what a program may be off

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

TOLD = """
    def told(what):
        says = SAYS[what]
        return np.array([says[w] if w in says else says[REST] for w in words])"""
KNOWN = """    unknown = [word for word in words if word not in SAYS[{full}]]
    if unknown:
        raise ValueError(f"words that the table does not know: {{unknown}}")
"""
MAIN = """if __name__ == "__main__":
    for answer, logit in answer_logits(sys.argv[1:] or EXAMPLE).items():
        print(f"{logit:9.4f}  {answer!r}")"""


@dataclass(frozen=True)
class Listing:
    text: str
    lines: int
    tables: int  # of them, lines of tables


def of(
    circuit: Circuit, body: Body, pairs: Pairs, token: Callable[[int], str]
) -> Listing:
    statements = "\n".join(body.lines)
    wide = str(body.folded.config.d_model)
    helpers = [
        code.replace("{wide}", wide).replace("{eps}", body.digits.number(NORM_EPS))
        for call, code in HELPERS.items()
        if call in statements
    ]
    math = ["import math"] if any("math." in code for code in helpers) else []
    full = _full(body)
    table = _table(body, full, token) if body.columns else []
    competing = [
        rivals.lines(rows, name, body.digits) for name, rows in body.tables.items()
    ]
    words = "list(enumerate(tokens))" if body.folded.placed else "list(tokens)"
    start = [
        "def answer_logits(tokens):",
        '    """{answer: calibrated logit} after a prompt, given as strings."""',
        f"    words, logits = {words}, {{}}",
        *(["    n = len(words)"] if re.search(r"\bn\b", statements) else []),
        *([KNOWN.format(full=prose.quoted(full))] if full else []),
        *([TOLD.lstrip("\n") if full else TOLD] if body.columns else []),
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
    source = "\n\n".join(parts) + "\n"
    return Listing(source, source.count("\n"), len(table) + sum(map(len, competing)))


def _usual(column: Column) -> float:
    return Counter(column.values()).most_common(1)[0][0]


def _full(body: Body) -> str | None:
    """The column that lists every word, where not all words are known: the one in which
    most say something of their own."""
    if body.folded.vocabulary or not body.columns:
        return None
    return max(body.columns, key=lambda name: len(set(body.columns[name].values())))


def _table(body: Body, full: str | None, token: Callable[[int], str]) -> list[str]:
    lines = ["REST = None  # any other word", "SAYS = {"]
    for name, column in body.columns.items():
        usual = _usual(column)
        said = {w: x for w, x in column.items() if x != usual}
        if name == full:
            said = {w: column.get(w, usual) for w in body.folded.everywhere}
        rows = sorted(said.items(), key=lambda row: -row[1])
        items = [f"{_word(w, token)}: {body.digits.number(x)}" for w, x in rows]
        if name != full:
            items.append(f"REST: {body.digits.number(usual)}")
        lines += prose.entry(prose.quoted(name), items)
    return [*lines, "}"]


def _word(word: Hashable, token: Callable[[int], str]) -> str:
    if isinstance(word, tuple):
        place, here = word
        return f"({place}, {prose.quoted(token(here))})"
    return prose.quoted(token(word))  # type: ignore[arg-type]


def _header(circuit: Circuit, body: Body, pairs: Pairs) -> str:
    """What it is, and what was worked out beforehand."""
    folded, facts = body.folded, circuit.facts
    kept, joined = len(folded.own.kept), len(folded.own.edges)
    known = "SAYS holds what a token says by its embedding alone"
    if body.columns and folded.vocabulary:
        known += ": REST is for all tokens of the vocabulary that are not listed."
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
