"""Prepare a corpus for training: train a tokenizer, encode, write a folder of tokens.

The tokens of a split are one flat stream in .npy shards, not examples of a fixed length
in ArrayRecord: any context length can be cut from one preparation, and reading needs
neither TFDS nor array_record, which accelerator images lack. Texts of the standard
library, of the user's files and of other TFDS datasets are read through their builder
(sparsetx.data.builders). tinypython is not: a document is a pure function of its
number, so storing it would only cost time, and training can prepare it without TFDS.
Its builder gives the same documents.

The description (meta.json) is deleted first when a folder is written again, and written
last, so that an incomplete folder is never used.
"""

import hashlib
import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparsetx.data import documents as docs
from sparsetx.data import token_files
from sparsetx.data.grammar.document import VERSION as GRAMMAR
from sparsetx.data.shard_writer import ShardWriter, dtype_of
from sparsetx.data.tokenizer import Tokenizer, check_size
from sparsetx.system import files, lock
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress, Reporter, silent

TINYPYTHON, STDLIB, FILES = "tinypython", "stdlib", "files"
DRILLS = "tinypython-drills"  # every third program is a drill of what is learned last
GENERATED = (TINYPYTHON, DRILLS)
VOCAB = 2048
TINYPYTHON_TOKENS = 10_000_000
SAMPLE = 5_000_000  # characters that the tokenizer is trained on
WAITING = "data: another process prepares them"
LOOK = 0.5  # seconds between two looks whether it has
EVERY = 500  # documents between two progress reports


@dataclass(frozen=True)
class Request:
    """What is to be prepared, and where."""

    name: str
    vocab: int = VOCAB
    tokens: int | None = None  # of the train split; None: all, or 10 M of tinypython
    out: str | None = None
    globs: tuple[str, ...] = ()
    field: str = "text"
    packages: bool = False
    seed: int = 0

    def checked(self) -> "Request":
        check_size(self.vocab)
        if self.tokens is not None and self.tokens < 1000:
            raise Refusal(f"wanted at least 1000 tokens, got {self.tokens}")
        if self.seed < 0:
            raise Refusal(f"wanted a seed of 0 or more, got {self.seed}")
        if self.globs and self.name != FILES:
            raise Refusal(f"--files goes with `files`, not with {self.name!r}")
        if self.packages and self.name != STDLIB:
            raise Refusal(f"--packages goes with `stdlib`, not with {self.name!r}")
        return self

    @property
    def folder(self) -> Path:
        if self.out:
            return files.place(self.out)
        plain = re.sub(r"[^\w.]+", "-", self.name)  # names of TFDS hold / and :
        return token_files.default_folder(plain, self.vocab)

    @property
    def command(self) -> str:
        """The command line that prepares this."""
        words = ["sparsetx", "data", "prepare", self.name]
        for pattern in self.globs or ("GLOB",) * (self.name == FILES):
            words += ["--files", pattern]
        words += ["--out", self.out] if self.out else []
        words += ["--tokens", str(self.tokens)] if self.tokens else []
        words += ["--vocab", str(self.vocab)] if self.vocab != VOCAB else []
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--field", self.field] if self.field != "text" else []
        words += ["--packages"] if self.packages else []
        return shlex.join(words)


@dataclass(frozen=True)
class Corpus:
    """Texts in a fixed order, which can be read repeatedly, and their provenance."""

    request: Request
    builder: Any  # None for generated programs
    provenance: docs.Provenance

    def documents(self) -> Iterator[docs.Document]:
        if self.builder is None:
            drills = self.request.name == DRILLS
            return docs.tinypython(self.request.seed, drills=drills)
        from sparsetx.data import builders

        own = self.request.name in (STDLIB, FILES)
        return builders.texts(self.builder, "text" if own else self.request.field)

    def count(self) -> int:
        """The number of documents; 0 if it is not known."""
        splits = self.builder.info.splits.values() if self.builder else ()
        return sum(split.num_examples for split in splits)


def prepare(request: Request, report: Reporter = silent) -> token_files.Prepared:
    """The prepared folder; made now, unless it holds the same tinypython already. If
    another process is preparing that, as where two trainings are started at once, it is
    waited for."""
    request = request.checked()
    while (done := already(request)) is None:
        try:
            with lock.held(request.folder):  # two processes would mix their shards
                return already(request) or _made(request, report)
        except lock.Held:
            if request.name not in GENERATED:
                raise
        report(Progress(WAITING, 0, 1, "folders"))
        time.sleep(LOOK)
    return done


def _made(request: Request, report: Reporter) -> token_files.Prepared:
    corpus = open_corpus(request)
    (request.folder / token_files.META).unlink(missing_ok=True)
    tokenizer = train_tokenizer(corpus, report)
    tokenizer.save(request.folder / token_files.TOKENIZER)
    splits = write_splits(corpus, tokenizer, report)
    meta = {
        "version": token_files.VERSION,
        "name": request.name,
        "command": request.command,
        "fingerprint": fingerprint(tokenizer, splits),
        "tokenizer": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
        "eot": tokenizer.eot,
        "dtype": dtype_of(tokenizer.vocab_size),
        "recipe": recipe(request),
        "provenance": asdict(corpus.provenance),
        "splits": splits,
    }
    files.write_json(request.folder / token_files.META, meta)
    return token_files.open_prepared(request.folder, request.command)


def recipe(request: Request) -> dict[str, Any]:
    """All settings that determine the tokens of tinypython."""
    return {
        "grammar": GRAMMAR if request.name in GENERATED else None,
        "seed": request.seed,
        "tokens": request.tokens or TINYPYTHON_TOKENS,
        "sample": SAMPLE,
        **({"drills": True} if request.name == DRILLS else {}),
    }


def already(request: Request) -> token_files.Prepared | None:
    """The folder, if it holds just what preparing tinypython would write; else None."""
    generated = request.name in GENERATED
    if not generated or not (request.folder / token_files.META).exists():
        return None
    try:
        found = token_files.open_prepared(request.folder, request.command)
        for split in token_files.SPLITS:
            found.split(split)
        same = Tokenizer.load(found.tokenizer_path).fingerprint
    except Refusal:
        return None  # damaged or of another format: written again
    wanted = (recipe(request), request.vocab, found.meta.get("tokenizer"))
    had = (found.meta.get("recipe"), found.vocab_size, same)
    return found if had == wanted else None


def open_corpus(request: Request) -> Corpus:
    """The corpus of a request, built by TFDS if needed (tinypython is not)."""
    if request.name in GENERATED:
        return Corpus(request, None, docs.TINYPYTHON)
    paths = docs.matching(request.globs) if request.name == FILES else []
    from sparsetx.data import builders

    own = request.folder / "corpus"
    if request.name == FILES:
        return Corpus(request, builders.files(own, paths, request.field), docs.FILES)
    if request.name == STDLIB:
        provenance = docs.PACKAGES if request.packages else docs.STDLIB
        return Corpus(request, builders.stdlib(own, request.packages), provenance)
    builder = builders.named(request.name)
    licence = builder.info.license or "not stated by TFDS"
    provenance = docs.Provenance(f"the TFDS dataset {builder.info.full_name}", licence)
    return Corpus(request, builder, provenance)


def train_tokenizer(corpus: Corpus, report: Reporter) -> Tokenizer:
    """Train a tokenizer on the first SAMPLE characters of the train split."""
    held = 0

    def sample() -> Iterator[str]:
        nonlocal held
        for split, found in docs.distinct(corpus.documents()):
            if split != docs.TRAIN:
                continue
            held += len(found.text)
            report(Progress("sample", min(held, SAMPLE), SAMPLE, "characters"))
            yield found.text
            if held >= SAMPLE:
                return

    return Tokenizer.train(sample(), corpus.request.vocab)


def write_splits(
    corpus: Corpus, tokenizer: Tokenizer, report: Reporter
) -> dict[str, dict[str, Any]]:
    """Encode documents in order until train has its tokens, and validation some."""
    request = corpus.request
    dtype = dtype_of(tokenizer.vocab_size)
    writers = {
        split: ShardWriter(request.folder, split, dtype) for split in token_files.SPLITS
    }
    train, held = writers[docs.TRAIN], writers[docs.VALIDATION]
    limit = request.tokens or (TINYPYTHON_TOKENS if corpus.builder is None else 0)
    total = limit or corpus.count()
    for number, (split, found) in enumerate(docs.distinct(corpus.documents())):
        if limit and train.tokens >= limit:
            if held.documents:
                break
            if split == docs.TRAIN:
                continue
        if number % EVERY == 0:
            done = min(train.tokens, limit) if limit else number
            report(Progress("tokens", done, total, "tokens" if limit else "documents"))
        ids = tokenizer.encode(found.text)
        writers[split].add(tokenizer.eot, ids, len(found.text.encode()))
    docs.check_splits({split: writer.documents for split, writer in writers.items()})
    report(Progress("tokens", total, total, "tokens" if limit else "documents"))
    return {split: writer.close() for split, writer in writers.items()}


def fingerprint(tokenizer: Tokenizer, splits: dict[str, dict[str, Any]]) -> str:
    """A hash of tokenizer and tokens (16 hex digits); the sharding does not matter."""
    content = [
        tokenizer.fingerprint,
        *(splits[s]["sha256"] for s in token_files.SPLITS),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def verify(found: token_files.Prepared) -> None:
    """Read every token, and refuse a folder whose content changed since it was made."""
    splits = {}
    for name in token_files.SPLITS:
        content = hashlib.sha256()
        for shard in found.split(name).shards:
            content.update(shard.astype(shard.dtype.newbyteorder("<")).tobytes())
        splits[name] = {"sha256": content.hexdigest()}
    tokenizer = Tokenizer.load(found.tokenizer_path)
    if fingerprint(tokenizer, splits) != found.fingerprint:
        raise Refusal(
            f"the prepared data at {found.path} is damaged: its content is not what "
            f"it was. Remove the folder and run\n    {found.meta['command']}"
        )
