"""Write a circuit as a short, readable, standalone NumPy program, and check it.

Each kept node is one statement, named after what it does. Pruned nodes are folded into
constants. What depends on words alone is in a table of words: of the whole vocabulary
if that is short enough, else of the words of the given prompts. Numbers have as few
digits as suffice: a program is run on every given pair before it is returned, and
refused if it does not agree with the circuit.

AbsTopK chooses among all channels of a site, which a short program does not have. A
choice that depends on words alone is in the table; any other is written as the shortest
rule that is right at every position of the given prompts (topk_rules.py). Where there
is no such rule, or the program would be too long, a Refusal says so.

Departure: where positions are added to embeddings, a word is a token at one position,
so that the program only knows words of the given prompts.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits import circuit_arrays
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain import activations, descriptions, text_ends
from sparsetx.circuits.program import (
    answer_lines,
    constant_folding,
    python_text,
    source,
)
from sparsetx.circuits.program.constant_folding import Folded
from sparsetx.circuits.program.source import AGREE, Listing
from sparsetx.circuits.program.statements import Body
from sparsetx.nodes import Node
from sparsetx.system.errors import Refusal
from sparsetx.tasks.pairs import Pairs

LONGEST = 150  # lines, for every 60 edges
DIGITS = (5, 6, 7, 9, 12)  # of numbers: tried until the program agrees
SINGLE = 9  # digits of a float32
ANSWERS = 8  # different answer tokens, at most: each has a statement


@dataclass(frozen=True)
class Program:
    text: str
    lines: int
    tables: int  # lines of tables among them
    off: float  # largest error of a logit, divided by the larger of 1 and the logit
    accuracy: float
    pairs: int


def written(
    circuit: Circuit,
    pairs: Pairs,
    token: Callable[[int], str],
    most: int | None = None,
) -> Program:
    """The program of a circuit, checked on these pairs; or a Refusal. `most`: lines."""
    _check(circuit, pairs)
    folded = constant_folding.of(circuit_arrays.of(circuit), text_ends.real(pairs))
    _check_words(circuit, folded, pairs, token)
    most = most or LONGEST * max(1, -(-len(folded.own.edges) // 60))
    writer = Writer.of(circuit, pairs, token, folded.own.kept)
    wrong: list[str] = []
    shortest: Listing | None = None
    for known in _scopes(folded, token):
        for digits in map(python_text.Digits, DIGITS):
            body = writer.body(known, digits)
            found = source.of(circuit, body, pairs, token)
            if found.lines > most:
                shortest = min(shortest or found, found, key=lambda one: one.lines)
                break
            program = writer.checked(found, digits)
            if isinstance(program, Program):
                return program
            wrong.append(program)
    if wrong:
        raise Refusal(f"the program of {circuit.task} is not written: it {wrong[-1]}")
    assert shortest is not None
    raise Refusal(
        f"the program of {circuit.task} would have {shortest.lines} lines, "
        f"{shortest.tables} of them tables ({len(folded.everywhere)} words): more than "
        f"{most}. Allow more with --lines, or search for a smaller circuit"
    )


@dataclass(frozen=True)
class Writer:
    """What all attempts to write one circuit's program share."""

    circuit: Circuit
    pairs: Pairs
    token: Callable[[int], str]
    called: Mapping[Node, str]  # variable names
    told: Mapping[Node, str]  # descriptions
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
        described = descriptions.of(activations.of(circuit, *where), kept, token)
        told = {node: d.text for node, d in described.items()}
        titles = {node: d.title for node, d in described.items()}
        wanted_B2 = circuit.answer_logits(*where, pairs.answers_B2)
        called = python_text.names(kept, titles)
        return cls(circuit, pairs, token, called, told, wanted_B2)

    def body(self, known: Folded, digits: python_text.Digits) -> Body:
        body = Body(known, self.called, self.told, digits)
        body.write()
        asked = np.unique(self.pairs.answers_B2).tolist()
        calibration = self.circuit.calibration
        texts = {token: self.token(token) for token in asked}
        answer_lines.write(body, texts, calibration.scale, calibration.shift or {})
        if body.without_rule:
            raise Refusal(_no_rule(self.circuit, body))
        return body

    def checked(self, found: Listing, digits: python_text.Digits) -> Program | str:
        """The program, if it agrees, or a text that says how far it is off. With fewer
        digits than a float32 it must agree better: that margin is for prompts that it
        is not checked on."""
        logits_B2 = _run(found.text, self.pairs, self.token)
        error_B2 = np.abs(logits_B2 - self.wanted_B2)
        off_B2 = error_B2 / np.maximum(1, np.abs(self.wanted_B2))
        off, few = float(off_B2.max()), digits.most < SINGLE
        if not (error_B2.max() <= AGREE / 2 if few else off <= AGREE):
            return (
                f"does not agree with the circuit: on pair "
                f"{int(off_B2.max(1).argmax()) // 2} a logit is off by {off:.2g} of "
                f"the larger of 1 and itself, wanted at most {AGREE:g}"
            )
        accuracy = float((logits_B2[:, 0] > logits_B2[:, 1]).mean())
        size = found.lines, found.tables
        return Program(found.text, *size, off, accuracy, len(self.pairs))


def _check(circuit: Circuit, pairs: Pairs) -> None:
    """Refuse circuits that this kind of program cannot represent."""
    config, what = circuit.config, f"the circuit of {circuit.task} cannot be written"
    answers = np.unique(pairs.answers_B2)
    reasons = {
        "its task compares one token with the whole vocabulary": pairs.one_token,
        f"its pairs have {len(answers)} different answers, and each would be a "
        f"statement: wanted at most {ANSWERS}": not pairs.one_token
        and len(answers) > ANSWERS,
        "positions are concatenated to the residual": bool(config.d_pos),
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
    """Refuse tokens whose texts are equal: some tokens are only a part of a character,
    and print as the same replacement character."""
    own = {t for row in folded.rows for t in row} | {*np.unique(pairs.answers_B2)}
    texts = Counter(token(int(t)) for t in own)
    alike = [f"{n} tokens are both written {t!r}" for t, n in texts.items() if n > 1]
    if alike:
        raise Refusal(
            f"the circuit of {circuit.task} cannot be written: " + "; ".join(alike)
        )


def _scopes(folded: Folded, token: Callable[[int], str]) -> Iterator[Folded]:
    """The sets of words that a program may know, the largest first. With AbsTopK or
    added positions only the prompts' words: others were not run."""
    if not folded.placed and not nodes.active_sites(folded.config):
        own = _with_texts(folded, token)
        yield dataclasses.replace(folded, vocabulary=own, any_end=True)
        yield dataclasses.replace(folded, vocabulary=own)
    yield folded


def _with_texts(folded: Folded, token: Callable[[int], str]) -> tuple[int, ...]:
    """The tokens with a text of their own: not those that only are a part of a
    character, nor those that only pad the vocabulary."""
    texts: dict[str, list[int]] = {}
    for i in range(folded.config.vocab_size):
        try:
            texts.setdefault(token(i), []).append(i)
        except ValueError:  # the tokenizer has fewer
            break
    return tuple(sorted(ids[0] for ids in texts.values() if len(ids) == 1))


def _no_rule(circuit: Circuit, body: Body) -> str:
    listed = ", ".join(map(name_of, body.without_rule[:6]))
    more = len(body.without_rule) - 6
    return (
        f"the circuit of {circuit.task} cannot be written as a short program: no rule "
        "tells when AbsTopK keeps "
        + listed
        + (f" and {more} more" if more > 0 else "")
        + f" of its {len(body.folded.own.kept)} nodes, since it chooses among all "
        "channels of their sites, most of them outside the circuit"
    )


def _run(source: str, pairs: Pairs, token: Callable[[int], str]) -> Any:
    """[prompt, answer]: run the program for its logits of the two answers."""
    space: dict[str, Any] = {"__name__": "circuit"}
    exec(compile(source, "<circuit>", "exec"), space)
    logits_B2 = np.empty(pairs.answers_B2.shape)
    for i, row in enumerate(text_ends.real(pairs)):
        logits = space["answer_logits"]([token(t) for t in row])
        logits_B2[i] = [logits[token(int(t))] for t in pairs.answers_B2[i]]
    return logits_B2
