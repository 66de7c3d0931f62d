"""The tokenizer: a byte-level BPE whose text is split as by GPT-4's tokenizer.

`decode_bytes` restores any bytes that `encode_bytes` was given, valid UTF-8 or not:
every byte is a token, and merges only join them. `<|endoftext|>` is the last id and
stands for no text: the same characters in a document are encoded as characters.

A tokenizer is saved as one JSON file, in the format of the `tokenizers` library. The
two files released with the paper's models (`encoder.json`, `vocab.bpe`) can be read.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Inner

from sparsetx.system import files
from sparsetx.system.errors import Refusal, refuse_all

EOT = "<|endoftext|>"
SMALLEST, LARGEST = 512, 65_536  # tokens, `<|endoftext|>` included
# The split of GPT-4: contractions, words with one character before them, digits in
# threes, punctuation with line ends after it, white space without its last character.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
ESCAPED = re.compile(
    "[\udc80-\udcff]+"
)  # bytes that are not UTF-8, in Python's surrogateescape


def _byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte in a byte-level vocabulary."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown}
    return letters | {byte: chr(256 + rank) for rank, byte in enumerate(hidden)}


LETTER = _byte_letters()
BYTE = {letter: byte for byte, letter in LETTER.items()}


def check_size(vocab_size: int) -> None:
    if not SMALLEST <= vocab_size <= LARGEST:
        raise Refusal(
            f"wanted a vocabulary of {SMALLEST} to {LARGEST} tokens, got {vocab_size}"
        )


def _around(model: models.BPE) -> Inner:
    """A tokenizer of the library, with our split and byte letters, not normalising."""
    inner = Inner(model)
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    return inner


class Tokenizer:
    """A trained tokenizer. Two with equal content have the same `fingerprint`."""

    def __init__(self, vocab: dict[str, int], merges: Sequence[tuple[str, str]]):
        """vocab: {byte letters: id}, without `<|endoftext|>`; merges: in order."""
        self.vocab = vocab
        self.merges = tuple(merges)
        self.inner = _around(models.BPE(vocab=vocab, merges=list(merges)))
        self.eot = len(vocab)
        self.vocab_size = len(vocab) + 1

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 2048) -> "Tokenizer":
        """Train one; the same texts in the same order give the same tokenizer."""
        check_size(vocab_size)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - 1,
            initial_alphabet=sorted(BYTE),
            show_progress=False,
        )
        inner = _around(models.BPE())
        inner.train_from_iterator(iter(texts), trainer)
        made = cls(*_parts(json.loads(inner.to_str())))
        if made.vocab_size != vocab_size:
            raise Refusal(
                f"wanted {vocab_size} tokens, but the texts only give "
                f"{made.vocab_size}: use more text or a smaller vocabulary"
            )
        return made

    @classmethod
    def load(cls, path: files.PathLike) -> "Tokenizer":
        """From our JSON file, or a folder with it or with the two released files."""
        place = files.place(path)
        if not place.is_dir():
            return cls(*_read(place))
        if (place / "tokenizer.json").exists():
            return cls(*_read(place / "tokenizer.json"))
        return cls(*_read_released(place))

    def save(self, path: files.PathLike) -> None:
        whole = _around(models.BPE(vocab=self.vocab, merges=list(self.merges)))
        whole.add_special_tokens([EOT])
        files.write_text(path, whole.to_str(pretty=True) + "\n")

    def encode(self, text: str) -> list[int]:
        if ESCAPED.search(text):
            return self.encode_bytes(text.encode("utf-8", "surrogateescape"))
        return list(self.inner.encode(text).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As encode, on all cores. The texts must hold no lone surrogates."""
        return [found.ids for found in self.inner.encode_batch_fast(list(texts))]

    def encode_bytes(self, data: bytes) -> list[int]:
        text = data.decode("utf-8", "surrogateescape")
        ids: list[int] = []
        start = 0
        for odd in ESCAPED.finditer(text):
            ids += self.inner.encode(text[start : odd.start()]).ids
            raw = odd[0].encode("utf-8", "surrogateescape")
            ids += [self.vocab[LETTER[byte]] for byte in raw]
            start = odd.end()
        return ids + list(self.inner.encode(text[start:]).ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        ids = [int(i) for i in ids]
        odd = sorted({i for i in ids if not 0 <= i < self.vocab_size})
        if odd:
            raise Refusal(
                f"wanted token ids below {self.vocab_size}, got {odd[:5]}: "
                "another tokenizer made them"
            )
        table = self._bytes
        return b"".join([table[i] for i in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """Text; an incomplete or invalid UTF-8 character becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token(self, i: int) -> str:
        """The text of one token, for display; invalid bytes as `\\xff`."""
        return self.decode_bytes([i]).decode("utf-8", "backslashreplace")

    @functools.cached_property
    def _bytes(self) -> tuple[bytes, ...]:
        """The bytes of each id."""
        ordered = sorted(self.vocab, key=self.vocab.__getitem__)
        words = [bytes(BYTE[letter] for letter in word) for word in ordered]
        return (*words, EOT.encode())

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of split, vocabulary and merges (16 hex digits)."""
        content = [SPLIT, sorted(self.vocab.items()), self.merges]
        packed = json.dumps(content, separators=(",", ":")).encode()
        return hashlib.sha256(packed).hexdigest()[:16]


def _parts(whole: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = whole["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else m for m in model["merges"]]
    return dict(model["vocab"]), [(a, b) for a, b in merges]


def _checked(
    vocab: dict[str, int], merges: list[tuple[str, str]], where: Path
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Check that all bytes are tokens, ids have no gaps, merges and `<|endoftext|>`."""
    size = len(vocab) + (EOT not in vocab)
    offences = []
    if vocab.pop(EOT, size - 1) != size - 1:
        offences.append(f"{EOT} is not the last id, {size - 1}")
    if sorted(vocab.values()) != list(range(len(vocab))):
        offences.append(f"the ids are not 0 to {len(vocab) - 1}, each once")
    if missing := [byte for byte, letter in LETTER.items() if letter not in vocab]:
        offences.append(f"{len(missing)} bytes have no token, {missing[0]:#04x} first")
    if foreign := [word for word in vocab if set(word) - BYTE.keys()]:
        offences.append(f"{foreign[0]!r} is not written in byte letters")
    for a, b in merges:
        if not {a, b, a + b} <= vocab.keys():
            offences.append(f"the merge {a!r} + {b!r} has no token")
            break
    refuse_all(f"wanted a byte-level BPE at {where}, but", offences)
    return vocab, merges


def _read(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    whole = files.read_json(path, "a tokenizer")
    try:
        vocab, merges = _parts(whole)
        pieces = whole["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        ids = {name: int(i) for name, i in vocab.items()}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Refusal(
            f"wanted a tokenizer at {path}: it lacks what `tokenizers` writes "
            f"for a byte-level BPE ({type(error).__name__}: {error})"
        ) from error
    if pieces != SPLIT:
        raise Refusal(
            f"wanted a tokenizer that splits text as GPT-4 does at {path}, "
            f"got the split {pieces!r}"
        )
    return _checked(ids, merges, path)


def _read_released(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    absent = [n for n in ("encoder.json", "vocab.bpe") if not (folder / n).exists()]
    if absent:
        raise Refusal(
            f"wanted tokenizer.json, or encoder.json and vocab.bpe, in {folder}: "
            f"{' and '.join(absent)} not found"
        )
    vocab = files.read_json(folder / "encoder.json", "the released vocabulary")
    if not isinstance(vocab, dict) or not all(type(i) is int for i in vocab.values()):
        raise Refusal(f"wanted token -> id at {folder / 'encoder.json'}")
    lines = files.read_text(folder / "vocab.bpe", "the released merges").split("\n")
    lines = [line for line in lines if line and not line.startswith("#version")]
    pairs = [tuple(line.split(" ")) for line in lines]
    odd = [line for line, pair in zip(lines, pairs, strict=True) if len(pair) != 2]
    if odd:
        raise Refusal(
            f"wanted two words a line at {folder / 'vocab.bpe'}, got {odd[0]!r}"
        )
    return _checked(dict(vocab), [(pair[0], pair[1]) for pair in pairs], folder)
