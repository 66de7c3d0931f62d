"""TFDS builders of the three corpora, and any other TFDS dataset by its name.

ArrayRecord files, written and read without TensorFlow. This is the only module that
imports tensorflow_datasets: training reads prepared tokens and needs none of it.

    builder = builders.build("stdlib", folder)
    builder.as_data_source("train")[0]["text"]
"""

import contextlib
import dataclasses
import difflib
import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from sparsetx.data import documents as docs
from sparsetx.data.grammar.document import VERSION
from sparsetx.errors import Refusal

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
    """Splits by hash, drops duplicates, records where the texts are from."""

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
        self.info.metadata["fingerprint"] = fingerprint(self.documents())
        return {name: self._generate_examples(name) for name in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, str]]]:
        for number, (where, found) in enumerate(docs.distinct(self.documents())):
            if where == split:
                yield f"{number:012}", dataclasses.asdict(found)


SPLITS = (docs.TRAIN, docs.VALIDATION)


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


def fingerprint(found: Iterator[docs.Document]) -> str:
    """16 hex digits of the distinct documents, in order."""
    whole = hashlib.sha256()
    for _, document in docs.distinct(found):
        whole.update(docs.digest(document.text))
    return whole.hexdigest()[:16]


def tinypython(folder: Path, seed: int, count: int) -> Any:
    config = TinyPythonConfig(name=f"seed{seed}-{count}", seed=seed, count=count)
    return _built(TinyPython(data_dir=folder, config=config, file_format=FORMAT))


def stdlib(folder: Path, packages: bool = False) -> Any:
    """Named after the interpreter, so that another one is another dataset."""
    name = "-".join(["python", sys.version.split()[0], *["packages"] * packages])
    if packages:  # which come and go: named after what is there
        name += "-" + fingerprint(docs.stdlib(packages))
    config = StdlibConfig(name=name, packages=packages)
    return _built(Stdlib(data_dir=folder, config=config, file_format=FORMAT))


def files(folder: Path, paths: list[Path], field: str = "text") -> Any:
    """Named after the content: files that changed are another dataset."""
    name = fingerprint(docs.files(paths, field))
    texts = tuple(map(str, paths))
    config = FilesConfig(name=name, paths=texts, field=field)
    return _built(Files(data_dir=folder, config=config, file_format=FORMAT))


def named(name: str) -> Any:
    """Any dataset that TFDS knows, from TFDS's own folder; downloaded if need be."""
    try:
        builder = tfds.builder(name, file_format=FORMAT)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        known = ["tinypython", "stdlib", "files", *tfds.list_builders()]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "TFDS has none of it"
        raise Refusal(
            f"wanted tinypython, stdlib, files or the name of a TFDS dataset, "
            f"got {name!r}: {hint}"
        ) from error
    return _built(builder)


def _built(builder: Any) -> Any:
    """Written to disk, if it is not there; TFDS's own chatter is kept off stdout."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(sys.stderr):
        builder.download_and_prepare()
    return builder


def texts(builder: Any, field: str = "text") -> Iterator[docs.Document]:
    """The documents of every split that the builder has (ours: both)."""
    if field not in builder.info.features:
        raise Refusal(
            f"wanted texts in a field {field!r} of {builder.info.full_name}, which has "
            f"{', '.join(sorted(builder.info.features))}: give --field"
        )
    for split in sorted(builder.info.splits):
        source = builder.as_data_source(split)
        for start in range(0, len(source), READ):
            stop = min(start + READ, len(source))
            rows = source.__getitems__(list(range(start, stop)))
            for place, row in enumerate(rows, start):
                yield docs.Document(_text(row[field]), f"{split}:{place}")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
