"""The text of a written-down circuit: table, helpers, statements, an example."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sparsetx import nodes
from sparsetx.block import NORM_EPS
from sparsetx.circuits import prose, rivals, text
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.fold import Folded
from sparsetx.circuits.lexicon import Lexicon
from sparsetx.circuits.statements import Body
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
    "rms(": """def rms(others, *channels):
    return np.sqrt((others + sum(x**2 for x in channels)) / {wide} + {eps})""",
    "look_back(": '''def look_back(scores, shape, sink=-np.inf):
    """How much the last token, or each in its turn, looks at those up to itself."""
    scores = np.broadcast_to(scores, shape)
    if scores.ndim == 2:
        scores = np.where(np.tril(np.ones(shape, bool)), scores, -np.inf)
    top = np.maximum(scores.max(-1, keepdims=True), sink)
    looks = np.exp(scores - top)
    return looks / (looks.sum(-1, keepdims=True) + np.exp(sink - top))''',
}

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
    lexicon = Lexicon(body, token)
    table = lexicon.lines()
    competing = [
        rivals.lines(rows, name, body.digits) for name, rows in body.tables.items()
    ]
    words = "list(enumerate(tokens))" if body.folded.placed else "list(tokens)"
    start = [
        "def answer_logits(tokens):",
        '    """{answer: calibrated logit} after a prompt, given as strings."""',
        f"    words, logits = {words}, {{}}",
        *(["    n = len(words)"] if re.search(r"\bn\b", statements) else []),
        *lexicon.functions(statements),
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


def _header(circuit: Circuit, body: Body, pairs: Pairs) -> str:
    """What it is, and what was worked out beforehand."""
    folded, facts = body.folded, circuit.facts
    kept, joined = len(folded.own.kept), len(folded.own.edges)
    left = len(folded.own.kept) - len(body.stated)
    paragraphs = [
        f"The circuit of {circuit.task}, written down by sparsetx: {kept} nodes, "
        f"{joined} edges.",
        "Every kept node is a statement, named after what it was seen to do. Pruned "
        "nodes are folded into constants"
        + (
            f"; {left} kept nodes that lead to no answer, or that AbsTopK did not keep "
            "on these pairs, are left out."
            if left
            else "."
        ),
        _told(folded) if body.columns else "",
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
    told = "\n\n".join([first, *others]).replace("\\", "\\\\").replace('"""', '\\"""')
    return f'"""{told}\n"""'


def _told(folded: Folded) -> str:
    """What the header says of the table."""
    if not folded.vocabulary:
        each = "each token at each place" if folded.placed else "the tokens"
        return (
            f"SAYS holds what a token alone decides, for {each} of the prompts that it "
            "was checked on; it knows no others. REST is for those that are not listed."
        )
    told = (
        "SAYS holds what a token alone decides: REST is for all tokens of the "
        "vocabulary that are not listed."
    )
    if not folded.any_end:
        told += " A prompt may only end in a token that one of those it was checked on"
        told += " ends in."
    return told


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
