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
import numpy.typing as npt

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
from sparsetx.circuits.listing import AGREE, Listing
from sparsetx.circuits.statements import Body
from sparsetx.errors import Refusal
from sparsetx.nodes import Node
from sparsetx.tasks.pairs import Pairs

LONGEST = 150  # lines; and of a circuit with more edges than 60, this for every 60
DIGITS = (5, 6, 7, 9, 12)  # of numbers: the first that agrees
SINGLE = 9  # as many as a float32 has
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
    folded = fold.of(arrays.of(circuit), text.real(pairs))
    _check_words(circuit, folded, pairs, token)
    most = most or LONGEST * max(1, -(-len(folded.own.edges) // 60))
    writer = Writer.of(circuit, pairs, token, folded.own.kept)
    wrong: list[str] = []
    shortest: Listing | None = None
    for known in _scopes(folded, token):
        for digits in map(prose.Digits, DIGITS):
            body = writer.body(known, digits)
            found = listing.of(circuit, body, pairs, token)
            if found.lines > most:
                shortest = min(shortest or found, found, key=lambda one: one.lines)
                break
            program = writer.checked(found, digits)
            if isinstance(program, Program):
                return program
            wrong.append(program)
    if wrong:
        raise Refusal(f"the program of {circuit.task} {wrong[-1]}. It is not written")
    assert shortest is not None
    raise Refusal(
        f"the program of {circuit.task} would have {shortest.lines} lines, "
        f"{shortest.tables} of them tables ({len(folded.everywhere)} words): more than "
        f"{most}, and not to be read. Ask for more with --lines, or cut a smaller "
        "circuit"
    )


@dataclass(frozen=True)
class Writer:
    """What all attempts at a program share."""

    circuit: Circuit
    pairs: Pairs
    token: Callable[[int], str]
    called: Mapping[Node, str]
    told: Mapping[Node, str]
    wanted_B2: npt.NDArray[np.floating]

    @classmethod
    def of(
        cls,
        circuit: Circuit,
        pairs: Pairs,
        token: Callable[[int], str],
        kept: list[Node],
    ) -> "Writer":
        where = pairs.tokens_BL, pairs.position_B
        described = describe.of(watch.of(circuit, *where), kept, token)
        told = {node: d.text for node, d in described.items()}
        titles = {node: d.title for node, d in described.items()}
        wanted_B2 = circuit.answer_logits(*where, pairs.answers_B2)
        called = prose.names(kept, titles)
        return cls(circuit, pairs, token, called, told, wanted_B2)

    def body(self, known: Folded, digits: prose.Digits) -> Body:
        body = Body(known, self.called, self.told, digits)
        body.write()
        asked = np.unique(self.pairs.answers_B2).tolist()
        calibration = self.circuit.calibration
        texts = {token: self.token(token) for token in asked}
        answers.write(body, texts, calibration.scale, calibration.shift or {})
        if body.unruly:
            raise Refusal(_no_rule(self.circuit, body))
        return body

    def checked(self, found: Listing, digits: prose.Digits) -> Program | str:
        """The program, if it agrees, or how far it is off. Fewer digits than the model
        has must leave room for prompts that it is not checked on."""
        logits_B2 = _run(found.text, self.pairs, self.token)
        apart_B2 = np.abs(logits_B2 - self.wanted_B2)
        off_B2 = apart_B2 / np.maximum(1, np.abs(self.wanted_B2))
        off, few = float(off_B2.max()), digits.most < SINGLE
        if not (apart_B2.max() <= AGREE / 2 if few else off <= AGREE):
            return (
                f"does not agree with the circuit: it is off by {off:.2g} of a logit "
                f"on pair {int(off_B2.max(1).argmax()) // 2}, wanted at most {AGREE:g}"
            )
        accuracy = float((logits_B2[:, 0] > logits_B2[:, 1]).mean())
        size = found.lines, found.tables
        return Program(found.text, *size, off, accuracy, len(self.pairs))


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


def _scopes(folded: Folded, token: Callable[[int], str]) -> Iterator[Folded]:
    """Which words a program may know, the most first. Beyond the prompts' words nobody
    looked at what AbsTopK keeps, nor at words with their places."""
    if not folded.placed and not nodes.active_sites(folded.config):
        own = _with_texts(folded, token)
        yield dataclasses.replace(folded, vocabulary=own, any_end=True)
        yield dataclasses.replace(folded, vocabulary=own)
    yield folded


def _with_texts(folded: Folded, token: Callable[[int], str]) -> tuple[int, ...]:
    """The tokens that a text means: not parts of characters that look alike, nor what
    only fills the embedding up."""
    texts: dict[str, list[int]] = {}
    for i in range(folded.config.vocab_size):
        try:
            texts.setdefault(token(i), []).append(i)
        except ValueError:  # the tokenizer has fewer
            break
    return tuple(sorted(ids[0] for ids in texts.values() if len(ids) == 1))


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
