"""The tokenizer: lossless, reproducible, and broken files are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.data.tokenizer import BYTE, EOT, LETTER, Tokenizer
from sparsetx.system.errors import Refusal

TEXTS = [
    f'def {name}(x):\n    print("{name} {word}")\n    return [[{i}, {i * i}]]\n\n'
    for i, (name, word) in enumerate(
        (a + b, c + a)
        for a in ("run", "load", "save", "make", "find", "sort")
        for b in ("er", "ing", "_all", "_one", "down")
        for c in ("blue", "quick", "shiny", "old", "rusty", "golden")
    )
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 512)


@given(data=st.binary(max_size=40))
def test_any_bytes_survive(tokenizer: Tokenizer, data: bytes) -> None:
    ids = tokenizer.encode_bytes(data)
    assert tokenizer.decode_bytes(ids) == data
    assert all(0 <= i < tokenizer.eot for i in ids)


@given(text=st.text(max_size=40))
def test_any_text_survives(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert ids == tokenizer.encode_bytes(text.encode())
    assert tokenizer.encode_batch([text, ""]) == [ids, []]


def test_bytes_that_python_escaped_survive(tokenizer: Tokenizer) -> None:
    """A file name or a line that was read with surrogateescape."""
    text = b"caf\xe9 \xff\xfe".decode("utf-8", "surrogateescape")
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == b"caf\xe9 \xff\xfe"


def test_end_of_text_is_last_and_never_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 512
    assert tokenizer.eot == 511
    assert tokenizer.eot not in tokenizer.encode(f"a{EOT}b")
    assert tokenizer.decode([tokenizer.eot]) == EOT


def test_it_splits_as_gpt4_does(tokenizer: Tokenizer) -> None:
    def pieces(text: str) -> list[str]:
        inner = tokenizer.inner.pre_tokenizer
        return [text[a:b] for _, (a, b) in inner.pre_tokenize_str(text)]

    assert pieces('    print("old red")\n') == [
        "   ",
        " print",
        '("',
        "old",
        " red",
        '")\n',
    ]
    assert pieces("x = [[1, 1234]]\n") == [
        "x", " =", " [[", "1", ",", " ", "123", "4", "]]\n",
    ]  # fmt: skip
    assert pieces("if x:\n        y") == ["if", " x", ":\n", "       ", " y"]
    assert pieces("don'T\r\n\n") == ["don", "'T", "\r\n\n"]


def test_what_closes_a_call_is_one_token(tokenizer: Tokenizer) -> None:
    assert '")\n' in [tokenizer.token(i) for i in range(512)]


def test_tokens_can_be_shown(tokenizer: Tokenizer) -> None:
    assert tokenizer.token(tokenizer.encode(" ")[0]) == " "
    assert tokenizer.token(tokenizer.encode_bytes(b"\xff")[0]) == "\\xff"


def test_letters_are_one_to_one() -> None:
    assert len(BYTE) == len(LETTER) == 256
    assert LETTER[ord(" ")] == "Ġ"  # the letter that every GPT-2 vocabulary uses


def test_saved_and_loaded_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = Tokenizer.load(place)
        assert loaded.fingerprint == tokenizer.fingerprint
        assert loaded.encode(TEXTS[3]) == tokenizer.encode(TEXTS[3])
        assert loaded.eot == 511


def test_other_texts_other_fingerprint(tokenizer: Tokenizer) -> None:
    again, other = Tokenizer.train(TEXTS, 512), Tokenizer.train(TEXTS[20:], 512)
    assert again.fingerprint == tokenizer.fingerprint
    assert other.fingerprint != tokenizer.fingerprint


def test_training_does_not_depend_on_the_hash_seed(tokenizer: Tokenizer) -> None:
    program = (
        "import tests.data.test_tokenizer as t;"
        "print(t.Tokenizer.train(t.TEXTS, 512).fingerprint)"
    )
    env = os.environ | {"PYTHONHASHSEED": "77", "RAYON_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True
    )
    assert made.stdout.strip() == tokenizer.fingerprint, made.stderr


def released(tokenizer: Tokenizer, folder: Path) -> Path:
    folder.mkdir()
    vocab = tokenizer.vocab | {EOT: tokenizer.eot}
    lines = ["#version: 0.2"] + [f"{a} {b}" for a, b in tokenizer.merges]
    (folder / "encoder.json").write_text(json.dumps(vocab))
    (folder / "vocab.bpe").write_text("\n".join(lines) + "\n")
    return folder


def test_the_released_pair_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    loaded = Tokenizer.load(released(tokenizer, tmp_path / "pair"))
    assert loaded.fingerprint == tokenizer.fingerprint


def test_half_a_released_pair_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = released(tokenizer, tmp_path / "pair")
    (folder / "vocab.bpe").unlink()
    with pytest.raises(
        Refusal, match=r"encoder.json and vocab.bpe.*vocab.bpe not found"
    ):
        Tokenizer.load(folder)


BROKEN = {
    "[]": "token -> id",
    '{"a": "b"}': "token -> id",
    json.dumps({chr(i): i for i in range(300)}): "not written in byte letters",
    json.dumps({"a": 0, "b": 2}): "ids are not 0 to 1",
    json.dumps({"a": 1, EOT: 0}): "not the last id, 1",
    json.dumps({"a": 0}): "255 bytes have no token, 0x21 first",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_released_vocabulary_is_refused(
    text: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = released(tokenizer, tmp_path / "pair")
    (folder / "encoder.json").write_text(text)
    with pytest.raises(Refusal, match=BROKEN[text]):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("line", "message"), [("one", "two words a line"), ("Ġzz zq", "has no token")]
)
def test_broken_released_merges_are_refused(
    line: str, message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = released(tokenizer, tmp_path / "pair")
    (folder / "vocab.bpe").write_text(line + "\n")
    with pytest.raises(Refusal, match=message):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: whole.pop("model"), "lacks what `tokenizers` writes"),
        (lambda whole: whole["model"]["merges"].append(["a"]), "lacks what"),
        (lambda whole: whole["model"]["vocab"].pop("a"), "no token"),
        (lambda whole: whole["model"]["vocab"].update(a="b"), "lacks what"),
        (
            lambda whole: whole["pre_tokenizer"]["pretokenizers"][0].update(
                pattern={"Regex": r"\s+"}
            ),
            "splits text as GPT-4 does",
        ),
    ],
)
def test_a_broken_file_is_refused(
    change: object, message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    whole = json.loads(path.read_text())
    assert callable(change)
    change(whole)
    path.write_text(json.dumps(whole))
    with pytest.raises(Refusal, match=message):
        Tokenizer.load(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"wanted a tokenizer at .*No such file"):
        Tokenizer.load(tmp_path / "none.json")


def test_ids_of_another_tokenizer_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(Refusal, match=r"below 512, got \[-1, 600\]"):
        tokenizer.decode([0, 600, -1])


@pytest.mark.parametrize("size", [511, 65_537])
def test_a_vocabulary_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(Refusal, match=f"512 to 65536 tokens, got {size}"):
        Tokenizer.train(TEXTS, size)


def test_too_little_text_is_refused() -> None:
    with pytest.raises(Refusal, match=r"only give .* use more text or a smaller"):
        Tokenizer.train(TEXTS[:2], 2048)
