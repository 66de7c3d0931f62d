"""The source text of a circuit's program: header, tables, helpers, statements."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain import text_ends
from sparsetx.circuits.program import python_text, topk_rivals
from sparsetx.circuits.program.constant_folding import Folded
from sparsetx.circuits.program.statements import Body
from sparsetx.circuits.program.word_table import Lexicon
from sparsetx.model.block import NORM_EPS
from sparsetx.tasks.pairs import Pairs

AGREE = 1e-5  # largest error of a logit, divided by the larger of 1 and the logit

HELPERS = {
    "above(": '''def above(cut, x):
    """AbsTopK of one channel: a value is kept where its size is above the cut."""
    return np.where(np.abs(x) > cut, x, 0.0)''',
    "outside(": '''def outside(low, high, x):
    """AbsTopK of one channel, with different limits below and above zero."""
    return np.where((x < low) | (x > high), x, 0.0)''',
    " cut(": '''def cut(count, rivals, given, act=lambda x: x):
    """How large a channel must be for AbsTopK to keep it: half way between the
    smallest that is kept and the largest that is not."""
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
    tables: int  # lines of tables among them


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
        topk_rivals.lines(rows, name, body.digits) for name, rows in body.tables.items()
    ]
    words = "list(enumerate(tokens))" if body.folded.placed else "list(tokens)"
    start = [
        "def answer_logits(tokens):",
        '    """{answer: calibrated logit} after a prompt, given as strings."""',
        f"    words, logits = {words}, {{}}",
        *(["    n = len(words)"] if re.search(r"\bn\b", statements) else []),
        *lexicon.functions(statements),
    ]
    example = [token(t) for t in text_ends.real(pairs)[0]]
    parts = [
        _header(circuit, body, pairs),
        "\n".join([*math, "import sys", "", "import numpy as np"]),
        *(["\n".join(table)] if table else []),
        *("\n".join(rows) for rows in competing),
        *("\n" + code for code in helpers),
        "\n" + "\n".join(start) + "\n" + statements + "\n    return logits",
        "\n"
        + "\n".join(
            python_text.listed("EXAMPLE", list(map(python_text.quoted, example)))
        ),
        MAIN,
    ]
    source = "\n\n".join(parts) + "\n"
    return Listing(source, source.count("\n"), len(table) + sum(map(len, competing)))


def _header(circuit: Circuit, body: Body, pairs: Pairs) -> str:
    """The docstring of the program."""
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
    first, *others = [python_text.paragraph(part) for part in paragraphs if part]
    told = "\n\n".join([first, *others]).replace("\\", "\\\\").replace('"""', '\\"""')
    return f'"""{told}\n"""'


def _told(folded: Folded) -> str:
    """The part of the docstring about the table of words."""
    if not folded.vocabulary:
        each = "each token at each place" if folded.placed else "the tokens"
        return (
            f"SAYS holds what a token alone decides, for {each} of the prompts that the"
            " program was checked on; it knows no others. REST is for those that are "
            "not listed."
        )
    told = (
        "SAYS holds what a token alone decides: REST is for all tokens of the "
        "vocabulary that are not listed."
    )
    if not folded.any_end:
        told += (
            " The last token of a prompt must be one in which a prompt ends that the"
        )
        told += " program was checked on."
    return told


def _chosen(body: Body) -> str:
    """The part of the docstring about AbsTopK."""
    if not nodes.active_sites(body.folded.config):
        return ""
    return (
        "AbsTopK keeps the largest activations of each site. Where that depends on "
        "words alone it is in the table; else it is written as the shortest rule that "
        "is right at every token of these pairs, and may be wrong on others: a "
        "threshold, or, where there is none, a comparison with the channels of the "
        "site that are kept at some tokens only."
    )
