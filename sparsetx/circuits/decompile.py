"""A circuit written down as a program: short, standalone, NumPy alone, to be read.

Each kept node is one statement, named after what it does; what is pruned is folded into
constants; what words alone decide stands in a table of words: of the whole vocabulary
if that is short enough, else of the words of the given prompts. Numbers have as few
digits as will do: a program is run on every pair that is given before it is handed out,
and refused where it does not agree with the circuit.

AbsTopK chooses among all channels of a site, which a short program does not hold. A
choice that words alone decide is in the table; any other is written as the shortest
rule that is right at every place of the given prompts (choices.py). Where there is no
such rule, or a program would be long, there is none, and a plain message says why.

Departure: positions that are added to embeddings make a word of every token at every
place, so that such a program only knows words of the given prompts.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits import (
    answers,
    arrays,
    describe,
    fold,
    listing,
    prose,
    text,
    watch,
)
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.fold import Folded
from sparsetx.circuits.listing import AGREE
from sparsetx.circuits.statements import Body
from sparsetx.errors import Refusal
from sparsetx.nodes import Node
from sparsetx.tasks.pairs import Pairs

LONGEST = 150  # lines; and of a circuit with more edges than 60, this for every 60
DIGITS = (5, 6, 7, 9)  # of numbers: the first that agrees; a float32 has nine
ANSWERS = 8  # tokens among which answers are: each has a statement


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
    wanted_B2 = circuit.answer_logits(
        pairs.tokens_BL, pairs.position_B, pairs.answers_B2
    )
    most = most or LONGEST * max(1, -(-len(own.edges) // 60))
    for body in _bodies(circuit, folded, titles, told, pairs, token):
        found = listing.of(circuit, body, pairs, token)
        if found.lines > most:
            continue
        logits_B2 = _run(found.text, pairs, token)
        apart_B2 = np.abs(logits_B2 - wanted_B2)
        off_B2 = apart_B2 / np.maximum(1, np.abs(wanted_B2))
        off, fewer = float(off_B2.max()), body.digits.most < DIGITS[-1]
        # Few digits leave room for prompts that it is not checked on.
        if apart_B2.max() <= AGREE / 2 if fewer else off <= AGREE:
            accuracy = float((logits_B2[:, 0] > logits_B2[:, 1]).mean())
            size = found.lines, found.tables
            return Program(found.text, *size, off, accuracy, len(pairs))
    if found.lines > most:
        raise Refusal(
            f"the program of {circuit.task} would have {found.lines} lines, "
            f"{found.tables} of them tables ({len(body.folded.everywhere)} words): "
            f"more than {most}, and not to be read. Ask for more with --lines, or cut "
            "a smaller circuit"
        )
    raise Refusal(
        f"the program of {circuit.task} does not agree with the circuit: it is off by "
        f"{off:.2g} of a logit on pair {int(off_B2.max(1).argmax()) // 2}, wanted at "
        f"most {AGREE:g}. It is not written"
    )


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


def _bodies(
    circuit: Circuit,
    folded: Folded,
    titles: Mapping[Node, str],
    told: Mapping[Node, str],
    pairs: Pairs,
    token: Callable[[int], str],
) -> Iterator[Body]:
    """The same program in several ways, the best one first: of more words, then of
    fewer digits."""
    asked = {int(t): token(int(t)) for t in np.unique(pairs.answers_B2)}
    calibration, called = circuit.calibration, prose.names(folded.own.kept, titles)
    scopes = ((True, True), (True, False), (False, False))
    for whole, any_end in scopes[2:] if folded.placed else scopes:
        known = dataclasses.replace(folded, vocabulary=whole, any_end=any_end)
        for digits in map(prose.Digits, DIGITS):
            body = Body(known, called, told, digits)
            body.write()
            answers.write(body, asked, calibration.scale, calibration.shift or {})
            if body.unruly:
                raise Refusal(_no_rule(circuit, body))
            if whole and any(name.startswith("keeps_") for name in body.columns):
                break  # what AbsTopK keeps was only looked at on the prompts
            yield body


def _no_rule(circuit: Circuit, body: Body) -> str:
    listed = ", ".join(map(name_of, body.unruly[:6]))
    more = len(body.unruly) - 6
    return (
        f"the circuit of {circuit.task} cannot be written as a short program: no rule "
        "tells when AbsTopK keeps "
        + listed
        + (f" and {more} more" if more > 0 else "")
        + f" of its {len(body.folded.own.kept)} nodes. It chooses among all channels "
        "of their sites, most of them outside the circuit"
    )


def _run(source: str, pairs: Pairs, token: Callable[[int], str]) -> Any:
    """The program's logits of the two answers, [prompt, answer]."""
    space: dict[str, Any] = {"__name__": "circuit"}
    exec(compile(source, "<circuit>", "exec"), space)
    logits_B2 = np.empty(pairs.answers_B2.shape)
    for i, row in enumerate(text.real(pairs)):
        logits = space["answer_logits"]([token(t) for t in row])
        logits_B2[i] = [logits[token(int(t))] for t in pairs.answers_B2[i]]
    return logits_B2
