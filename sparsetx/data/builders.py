"""TFDS builders of the three corpora, and any other TFDS dataset by name.

They write and read ArrayRecord files, without TensorFlow. This is the only module that
imports tensorflow_datasets: training reads prepared tokens and does not need it.

    builder = builders.build("stdlib", folder)
    builder.as_data_source("train")[0]["text"]
"""

import contextlib
import dataclasses
import difflib
import hashlib
import io
import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from sparsetx.data import documents as docs
from sparsetx.data.grammar.document import VERSION
from sparsetx.system.errors import Refusal

FORMAT = "array_record"
READ = 512  # documents at a time


@dataclasses.dataclass(kw_only=True)
class TinyPythonConfig(tfds.core.BuilderConfig):  # type: ignore[misc]
    seed: int = 0
    count: int = 20_000  # documents, before duplicates are dropped


@dataclasses.dataclass(kw_only=True)
class StdlibConfig(tfds.core.BuilderConfig):  # type: ignore[misc]
    packages: bool = False


@dataclasses.dataclass(kw_only=True)
class FilesConfig(tfds.core.BuilderConfig):  # type: ignore[misc]
    paths: tuple[str, ...] = ()
    field: str = "text"


# fmt: off
class _Texts(tfds.core.GeneratorBasedBuilder,  # type: ignore[misc]
             skip_registration=True):  # type: ignore[call-arg]
    # fmt: on
    """Splits by hash, drops duplicates, records the texts' origin and licence."""

    VERSION = tfds.core.Version("1.0.0")

    def provenance(self) -> docs.Provenance:
        raise AssertionError

    def documents(self) -> Iterator[docs.Document]:
        raise AssertionError

    def _info(self) -> Any:
        provenance = self.provenance()
        return tfds.core.DatasetInfo(
            builder=self,
            description=provenance.origin,
            license=provenance.licence,
            features=tfds.features.FeaturesDict(
                {"text": tfds.features.Text(), "source": tfds.features.Text()}
            ),
            metadata=tfds.core.MetadataDict(dataclasses.asdict(provenance)),
        )

    def _split_generators(self, _: Any) -> dict[str, Any]:
        mark, counts = survey(self.documents())
        docs.check_splits(counts)
        self.info.metadata["fingerprint"] = mark
        return {name: self._generate_examples(name) for name in counts}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, str]]]:
        for number, (where, found) in enumerate(docs.distinct(self.documents())):
            if where == split:
                yield f"{number:012}", dataclasses.asdict(found)


class TinyPython(_Texts):
    name = "tinypython"
    VERSION = tfds.core.Version(f"{VERSION}.0.0")
    BUILDER_CONFIGS = [TinyPythonConfig(name="seed0")]  # noqa: RUF012

    def provenance(self) -> docs.Provenance:
        return docs.TINYPYTHON

    def documents(self) -> Iterator[docs.Document]:
        config = self.builder_config
        return itertools.islice(docs.tinypython(config.seed), config.count)


class Stdlib(_Texts):
    name = "stdlib"
    BUILDER_CONFIGS = [StdlibConfig(name="library")]  # noqa: RUF012

    def provenance(self) -> docs.Provenance:
        return docs.PACKAGES if self.builder_config.packages else docs.STDLIB

    def documents(self) -> Iterator[docs.Document]:
        return docs.stdlib(self.builder_config.packages)


class Files(_Texts):
    name = "files"
    BUILDER_CONFIGS = [FilesConfig(name="none")]  # noqa: RUF012

    def provenance(self) -> docs.Provenance:
        return docs.FILES

    def documents(self) -> Iterator[docs.Document]:
        config = self.builder_config
        return docs.files([Path(path) for path in config.paths], config.field)


def survey(found: Iterator[docs.Document]) -> tuple[str, dict[str, int]]:
    """A hash of the distinct documents (16 hex digits), and their number per split."""
    whole = hashlib.sha256()
    counts = {docs.TRAIN: 0, docs.VALIDATION: 0}
    for split, document in docs.distinct(found):
        counts[split] += 1
        whole.update(docs.digest(document.text))
    return whole.hexdigest()[:16], counts


def tinypython(folder: Path, seed: int, count: int) -> Any:
    config = TinyPythonConfig(name=f"seed{seed}-{count}", seed=seed, count=count)
    return _made(TinyPython, folder, config)


def stdlib(folder: Path, packages: bool = False) -> Any:
    """Named after the Python version, so that another version is another dataset."""
    name = "-".join(["python", sys.version.split()[0], *["packages"] * packages])
    if packages:  # they change: the name gets a hash of the content
        name += "-" + survey(docs.stdlib(packages))[0]
    config = StdlibConfig(name=name, packages=packages)
    return _made(Stdlib, folder, config)


def files(folder: Path, paths: list[Path], field: str = "text") -> Any:
    """Named after a hash of the content: changed files are another dataset."""
    name, counts = survey(docs.files(paths, field))
    docs.check_splits(counts)
    texts = tuple(map(str, paths))
    config = FilesConfig(name=name, paths=texts, field=field)
    return _made(Files, folder, config)


def named(name: str) -> Any:
    """Any dataset that TFDS knows, in TFDS's own folder; downloaded if needed."""
    try:
        builder = tfds.builder(name, file_format=FORMAT)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        known = tfds.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "TFDS has no such name"
        raise Refusal(
            f"wanted tinypython, stdlib, files or the name of a TFDS dataset, "
            f"got {name!r}: {hint}"
        ) from error
    try:
        return _built(builder)
    except OSError as error:
        raise Refusal(
            f"TFDS could not get {name} ({type(error).__name__}: {error}): it needs "
            "the network, or the dataset in its folder (see $TFDS_DATA_DIR)"
        ) from error


def _made(kind: Any, folder: Path, config: Any) -> Any:
    with quietly():
        builder = kind(data_dir=folder, config=config, file_format=FORMAT)
    return _built(builder)


def _built(builder: Any) -> Any:
    """Prepare the dataset on disk, if it is not there."""
    with quietly():
        builder.download_and_prepare()
    return builder


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress TFDS's messages on stdout, its progress bars and its logging."""
    tfds.disable_progress_bar()
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.disabled = before


def texts(builder: Any, field: str = "text") -> Iterator[docs.Document]:
    """The documents of all splits; train last, so that a token limit cuts only it."""
    if field not in builder.info.features:
        raise Refusal(
            f"wanted texts in a field {field!r} of {builder.info.full_name}, which has "
            f"{', '.join(sorted(builder.info.features))}: give --field"
        )
    splits = sorted(builder.info.splits, key=lambda s: (s == docs.TRAIN, s))
    for split in splits:
        try:
            source = builder.as_data_source(split)
        except RuntimeError as error:  # TFDS has not implemented this format
            raise Refusal(
                f"{builder.info.full_name} is stored in a format that cannot be read "
                f"without TensorFlow: store it as {FORMAT} ({error})"
            ) from error
        for start in range(0, len(source), READ):
            stop = min(start + READ, len(source))
            rows = source.__getitems__(list(range(start, stop)))
            for place, row in enumerate(rows, start):
                yield docs.Document(_text(row[field]), f"{split}:{place}")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
