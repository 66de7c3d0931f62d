"""Programs of circuits: short, standalone, and equal to the circuit."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from sparsetx import model, nodes
from sparsetx.circuits import circuit_arrays
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain import text_ends
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.program import numpy_model, numpy_program
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.system.errors import Refusal
from sparsetx.tasks.pairs import Pairs
from tests.circuits import broken, compiled, golden_program
from tests.circuits.explain.test_descriptions import token
from tests.circuits.explain.test_graph import drawn
from tests.circuits.golden_program import as_pairs
from tests.circuits.test_circuit import ASKED, MEANS, PARAMS, made

SMALL = ModelConfig(
    vocab_size=14, context=8, n_layer=2, d_model=12, n_head=2, d_head=3, d_mlp=10
)
WRITTEN = (nodes.Q, nodes.K, nodes.V, nodes.ATTN_OUT, nodes.MLP_NEURON, nodes.MLP_OUT)
VARIANTS = {
    "plain": dataclasses.replace(SMALL, afrac=None, bigram="random", final_bias=True),
    "sink": dataclasses.replace(SMALL, afrac=None, sink=True, activation="relu"),
    "chosen": dataclasses.replace(SMALL, afrac=0.5, afrac_sites=WRITTEN, sink=True),
    "all": dataclasses.replace(SMALL, afrac=0.5, bigram="random", final_bias=True),
    "added": dataclasses.replace(
        SMALL, afrac=0.5, afrac_sites=WRITTEN, positions="added"
    ),
}


PAIRS = as_pairs(ASKED)


def answers(source: str, pairs: Pairs) -> np.ndarray:
    """[B, 2]: the logits of a program."""
    space: dict[str, Any] = {"__name__": "elsewhere"}
    exec(source, space)
    found = [
        space["answer_logits"]([token(t) for t in row]) for row in text_ends.real(pairs)
    ]
    return np.array(
        [
            [logits[token(int(t))] for t in wanted]
            for logits, wanted in zip(found, pairs.answers_B2, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def fixture() -> numpy_program.Program:
    return golden_program.program()


def test_the_known_circuit_reads_like_its_algorithm(
    fixture: numpy_program.Program,
) -> None:
    assert fixture.lines == fixture.text.count("\n") <= numpy_program.LONGEST
    assert fixture.off < 1e-5
    assert fixture.accuracy == 1
    assert fixture.pairs == 32
    for line in (
        "quote_type_neuron = gelu(8.0 * quote_type_read_0 - 4.0)",
        "quote_detector_write = 0.5 * quote_detector_neuron",
        "quote_type_write = -0.5 * quote_detector_neuron + quote_type_neuron",
        "quote_detector_key = 4.0 * quote_detector_read",
        "looks_1_0 = look_back(4.0 * quote_detector_key, n)",
        "quote_type_at_the_end_write = 2.0 * looks_1_0 @ quote_type_value",
        "logits['\")\\n'] = 4.0 * quote_type_at_the_end_write / rms_final_0",
        "# quote detector: fires on `(\"` and `('` (AUC 1.00 against other tokens)",
    ):
        assert f"    {line}\n" in fixture.text


def body_of(tree: ast.Module) -> ast.FunctionDef:
    (body,) = [
        f
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef) and f.name == "answer_logits"
    ]
    return body


def stated(source: str) -> int:
    """How many nodes have a statement in a program."""
    body = body_of(ast.parse(source))
    names = [
        target.id
        for line in body.body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    ]
    kinds = ("read", "query", "key", "value", "neuron", "write")
    nodes_of = [name for name in names if not name.startswith("cut_")]
    own = [name for name in nodes_of if any(kind in name for kind in kinds)]
    assert len(own) == len(set(own))
    return len(own)


def test_a_program_has_a_statement_for_each_node(
    fixture: numpy_program.Program,
) -> None:
    assert stated(fixture.text) == len(compiled.CIRCUIT)
    tree = ast.parse(fixture.text)
    parts = list(ast.walk(body_of(tree)))
    assert not any(isinstance(part, ast.For | ast.While) for part in parts)
    imported = [p for p in ast.walk(tree) if isinstance(p, ast.Import)]
    assert {alias.name for p in imported for alias in p.names} == {
        "math",
        "sys",
        "numpy",
    }
    assert max(map(len, fixture.text.splitlines())) <= 88


def test_the_program_in_the_results_is_this_one(
    fixture: numpy_program.Program,
) -> None:
    """Golden: `python -m tests.circuits.golden_program` writes it again after an
    intended change."""
    assert golden_program.PATH.read_text() == fixture.text


def test_it_runs_alone(fixture: numpy_program.Program, tmp_path: Path) -> None:
    file = tmp_path / "circuit.py"
    file.write_text(fixture.text)
    words = [token(5), token(compiled.SINGLE), token(7), token(8)]
    for given in ([], ["<|endoftext|>", *words]):
        done = subprocess.run(
            [sys.executable, "-I", str(file), *given],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        logits = [float(line.split()[0]) for line in done.stdout.splitlines()]
        assert len(logits) == 2
        assert (logits[1] > logits[0]) == bool(given)


def test_it_is_right_about_prompts_that_it_was_not_checked_on(
    fixture: numpy_program.Program,
) -> None:
    other = as_pairs(compiled.question(24, 77))
    own = golden_program.own()
    wanted = own.answer_logits(other.tokens_BL, other.position_B, other.answers_B2)
    np.testing.assert_allclose(answers(fixture.text, other), wanted, atol=1e-5)


def cut_at_random(name: str, seed: int, share: float) -> Circuit:
    """A circuit of random nodes of a random sparse model."""
    config = VARIANTS[name]
    rng = np.random.default_rng(seed)
    params = jax.tree.map(np.asarray, model.init(config, jax.random.key(seed)))
    new = {}
    for path, x in parameters.leaves(params):
        x = rng.normal(size=x.shape).astype(np.float32)
        sparse = path[-1] == parameters.W and path[0] == parameters.BLOCKS
        new[path] = x * (rng.random(x.shape) < 0.4) if sparse else x
        if path[-1] == parameters.GAIN:
            new[path] = x + 2 * np.sign(x)
    params = parameters.replaced(params, new)
    flat = rng.random(nodes.count(config)) < share
    kept = {nodes.node_at(config, int(i)) for i in np.flatnonzero(flat)}
    tokens_NBL = compiled.corpus(2)
    means = {
        site: np.asarray(x)
        for site, x in ablations.means(config, params, tokens_NBL).items()
    }
    return drawn(config, params, kept, means)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_the_numpy_model_equals_the_model(name: str) -> None:
    own = cut_at_random(name, 0, 0.5)
    few = PAIRS.tokens_BL[:6]
    wanted = own.logits(few)
    plain = circuit_arrays.of(own)
    for row, logits_LV in zip(few, wanted, strict=True):
        trace = numpy_model.run(plain, row.tolist())
        said = trace.final * trace.scale[nodes.FINAL_NORM][0][:, None]
        found = said @ plain.unembed_DV
        for key, leaf in ((parameters.BIGRAM, parameters.TABLE),
                          (parameters.FINAL_BIAS, parameters.B)):  # fmt: skip
            table = plain.params.get((key, leaf))
            if table is not None:
                found = found + (table[row] if table.ndim == 2 else table)
        np.testing.assert_allclose(found, logits_LV, atol=2e-4)


@pytest.mark.parametrize(
    "name", ["plain", "sink", "chosen", pytest.param("added", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("seed", range(3))
def test_programs_equal_random_circuits(name: str, seed: int) -> None:
    own = cut_at_random(name, seed, 0.35)
    found = numpy_program.written(own, PAIRS, token, 10_000)
    wanted = own.answer_logits(PAIRS.tokens_BL, PAIRS.position_B, PAIRS.answers_B2)
    off = np.abs(answers(found.text, PAIRS) - wanted) / np.maximum(1, np.abs(wanted))
    assert off.max() == pytest.approx(found.off)
    assert found.off <= numpy_program.AGREE
    assert ("RIVALS" in found.text) == (" cut(" in found.text)
    told = " ".join(found.text.split())
    left = re.search(r"(\d+) kept nodes that lead to no answer", told)
    assert stated(found.text) + int(left[1] if left else 0) == len(own.nodes)


@pytest.mark.parametrize("name", ["plain", "sink"])
def test_a_program_of_the_whole_vocabulary_is_right_about_all_of_it(name: str) -> None:
    own = cut_at_random(name, 1, 0.35)
    found = numpy_program.written(own, PAIRS, token, 10_000)
    rng = np.random.default_rng(3)
    other = dataclasses.replace(
        PAIRS, tokens_BL=rng.integers(1, 14, PAIRS.tokens_BL.shape, np.int32)
    )
    wanted = own.answer_logits(other.tokens_BL, other.position_B, other.answers_B2)
    off = np.abs(answers(found.text, other) - wanted) / np.maximum(1, np.abs(wanted))
    assert off.max() <= numpy_program.AGREE
    assert max(map(len, found.text.splitlines())) <= 88


def test_tokens_of_equal_text_or_none_are_unknown_words() -> None:
    """A program only knows words that are the text of exactly one token."""

    def few(i: int) -> str:
        if i > 12:
            raise ValueError(f"wanted ids below 13, got {i}")
        return "alike" if i in (5, 6) else token(i)

    asked = PAIRS.tokens_BL[:2].copy()
    asked[:, 1:-1] = 3
    parts = (asked, PAIRS.position_B[:2], PAIRS.answers_B2[:2], PAIRS.sign_B[:2])
    own = cut_at_random("plain", 0, 0.35)
    pairs = Pairs("quotes", "test", *parts, (None,), False)
    found = numpy_program.written(own, pairs, few, 10_000)
    assert "alike" not in found.text
    space: dict[str, Any] = {"__name__": "elsewhere"}
    exec(found.text, space)
    with pytest.raises(ValueError, match=r"does not know: \['alike'\]"):
        space["answer_logits"](["alike", token(3)])


def longest_number(source: str) -> int:
    """Digits of the longest number in a program."""
    found = [
        n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)
    ]
    told = [f"{x:.17g}" for x in found if isinstance(x, float)]
    plain = [f"{float(x):.9g}".split("e")[0] for x in told]
    return max(len(x.replace(".", "").lstrip("0")) for x in plain)


def test_numbers_have_as_few_digits_as_agree(
    fixture: numpy_program.Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = longest_number(fixture.text)
    assert few in numpy_program.DIGITS[:-1]
    monkeypatch.setattr(numpy_program, "DIGITS", (few - 1, 9))
    assert longest_number(golden_program.program().text) == 9


def test_it_knows_all_words_if_that_is_short_enough() -> None:
    own = cut_at_random("plain", 0, 0.35)
    parts = (PAIRS.tokens_BL, PAIRS.position_B, PAIRS.answers_B2, PAIRS.sign_B)
    few = Pairs("quotes", "test", *(x[:2] for x in parts), (None,), False)
    rows = text_ends.real(few)
    known, end = {t for row in rows for t in row}, rows[0][-1]
    (word, *_) = [token(t) for t in range(14) if t not in known]
    long = numpy_program.written(own, few, token, 10_000)
    ended = numpy_program.written(own, few, token, long.lines - 1)
    short = numpy_program.written(own, few, token, ended.lines - 1)
    ask = {"end": [token(0), word], "inside": [word, token(end)]}
    for program, unknown in ((long, ()), (ended, ("end",)), (short, ("end", "inside"))):
        space: dict[str, Any] = {"__name__": "elsewhere"}
        exec(program.text, space)
        for where, words in ask.items():
            if where not in unknown:
                assert len(space["answer_logits"](words)) == 2
                continue
            inner = "inside" in unknown
            message = "does not know: " if inner else "no prompt of the table ends in "
            with pytest.raises(ValueError, match=message):
                space["answer_logits"](words)
        with pytest.raises(ValueError, match="wanted a prompt, at least one word"):
            space["answer_logits"]([])


def test_a_read_without_a_rule_is_refused() -> None:
    """AbsTopK chooses it among all channels of the residual."""
    with pytest.raises(Refusal, match="no rule tells when AbsTopK keeps attn_in/1/"):
        numpy_program.written(cut_at_random("all", 0, 0.35), PAIRS, token, 10_000)


def test_a_head_that_only_acts_through_its_sink() -> None:
    params = broken.sink_head()
    means = ablations.means(broken.SINK_CONFIG, params, compiled.corpus())
    own = drawn(
        broken.SINK_CONFIG,
        params,
        broken.SINK_CIRCUIT,
        {site: np.asarray(x) for site, x in means.items()},
    )
    found = numpy_program.written(own, PAIRS, token)
    assert "looks_1_0.sum(-1)" in found.text
    assert found.off < 1e-5


def test_a_circuit_of_nothing_is_a_constant() -> None:
    found = numpy_program.written(
        drawn(compiled.CONFIG, PARAMS, set(), MEANS), PAIRS, token
    )
    assert "read" not in found.text.split("def answer_logits")[1]
    assert found.off < 1e-5


def told(config: ModelConfig) -> Circuit:
    own = made()
    facts = dataclasses.replace(
        own.facts, model=dataclasses.replace(own.facts.model, config=config)
    )
    return dataclasses.replace(own, facts=facts)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"compute": "bfloat16"}, "its model rounds to bfloat16 at every site"),
        ({"residual": "relu"}, "the residual itself passes a ReLU or AbsTopK"),
        ({"positions": "concatenated", "d_pos": 4}, "positions are concatenated to"),
    ],
)
def test_models_that_have_no_program(change: dict[str, Any], why: str) -> None:
    own = told(dataclasses.replace(compiled.CONFIG, **change))
    with pytest.raises(Refusal, match=f"quotes cannot be written: .*{why}"):
        numpy_program.written(own, PAIRS, token)


def test_tasks_that_have_no_program() -> None:
    with pytest.raises(Refusal, match="one token with the whole vocabulary"):
        numpy_program.written(made(), as_pairs(ASKED, one_token=True), token)
    many = np.arange(len(PAIRS.answers_B2) * 2, dtype=np.int32).reshape(-1, 2) % 14
    wide = dataclasses.replace(PAIRS, answers_B2=many)
    with pytest.raises(
        Refusal, match="14 different answers, and each would be a statement"
    ):
        numpy_program.written(made(), wide, token)


def test_a_long_program_is_refused() -> None:
    with pytest.raises(Refusal, match=r"would have \d+ lines, \d+ of them tables"):
        numpy_program.written(made(), PAIRS, token, most=20)


def test_a_program_that_is_off_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Circuit.answer_logits

    def other(self: Circuit, *args: Any) -> Any:
        return real(self, *args) + np.float32(1e-3)

    monkeypatch.setattr(Circuit, "answer_logits", other)
    with pytest.raises(Refusal, match="does not agree with the circuit: on pair"):
        numpy_program.written(made(), PAIRS, token)


def test_hostile_tokens_stay_strings() -> None:
    """Tokens that contain Python source are only text."""
    bad = {5: '"""\nimport os', 6: "\\", 7: "'); raise SystemExit(", 8: "{x}\x1f"}

    def hostile(i: int) -> str:
        return bad.get(i, token(i))

    assert numpy_program.written(made(), PAIRS, hostile).off < 1e-5


def test_tokens_of_equal_text_are_refused() -> None:
    """Two tokens of equal text in the prompts cannot both be words."""
    with pytest.raises(Refusal, match="2 tokens are both written"):
        numpy_program.written(made(), PAIRS, lambda i: "w" if i in (5, 6) else token(i))
