"""TFDS builders: ArrayRecord without TensorFlow, the same documents as the source."""

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from sparsetx.data import builders
from sparsetx.data import documents as docs
from sparsetx.system.errors import Refusal

COUNT = 300


def write_corpus(folder: Path, count: int = 400) -> list[Path]:
    folder.mkdir()
    for number in range(count):
        text = f"document {number} of the user's\n" * (1 + number % 3)
        (folder / f"{number:04}.txt").write_text(text)
    (folder / "again.txt").write_text("document 7 of the user's\n" * 2)
    return sorted(folder.iterdir())


def test_tinypython_holds_the_grammars_documents(tmp_path: Path) -> None:
    builder = builders.tinypython(tmp_path, seed=1, count=COUNT)
    found = sorted(builders.texts(builder), key=lambda one: one.text)
    source = itertools.islice(docs.tinypython(1), COUNT)
    wanted = sorted({one.text for one in source})
    assert [one.text for one in found] == wanted
    for split in (docs.TRAIN, docs.VALIDATION):
        rows = builder.as_data_source(split)
        assert len(rows) == builder.info.splits[split].num_examples > 0
        for row in itertools.islice(rows, 5):
            assert docs.split_of(docs.digest(row["text"].decode())) == split


def test_it_records_where_its_texts_are_from(tmp_path: Path) -> None:
    builders.tinypython(tmp_path, seed=1, count=COUNT)
    stored = tfds.builder_from_directory(
        next(tmp_path.glob(f"tinypython/seed1-{COUNT}/*.*.*"))
    )
    assert "grammar" in stored.info.description
    assert stored.info.metadata["licence"] == docs.TINYPYTHON.licence
    same, _ = builders.survey(itertools.islice(docs.tinypython(1), COUNT))
    assert stored.info.metadata["fingerprint"] == same
    other, _ = builders.survey(itertools.islice(docs.tinypython(2), COUNT))
    assert same != other
    assert "tensorflow" not in sys.modules


def test_files_that_change_are_another_dataset(tmp_path: Path) -> None:
    paths = write_corpus(tmp_path / "texts")
    first = builders.files(tmp_path / "built", paths)
    assert len(list(builders.texts(first))) == 400  # the duplicate is dropped
    again = builders.files(tmp_path / "built", paths)
    assert again.data_dir == first.data_dir
    paths[0].write_text("changed\n")
    assert builders.files(tmp_path / "built", paths).data_dir != first.data_dir


def test_stdlib_is_named_after_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [docs.Document(f"x = {n}\n", f"{n}.py") for n in range(200)]
    monkeypatch.setattr(docs, "stdlib", lambda packages=False: iter(few))
    builder = builders.stdlib(tmp_path)
    assert sys.version.split()[0] in str(builder.data_dir)
    assert builder.info.metadata["licence"].startswith("PSF-2.0")
    assert len(list(builders.texts(builder))) == 200
    packages = builders.stdlib(tmp_path, packages=True)
    assert packages.data_dir != builder.data_dir
    assert "its own licence" in packages.info.metadata["licence"]


def test_too_few_documents_to_split_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alone\n")
    with pytest.raises(Refusal, match="of 1 different ones none falls into validation"):
        builders.files(tmp_path / "built", [tmp_path / "a.txt"])
    with pytest.raises(Refusal, match="none falls into"):
        builders.tinypython(tmp_path / "built", seed=0, count=3)


class HouseWords(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """An example of a TFDS dataset; its download fails until told otherwise."""

    VERSION = tfds.core.Version("1.0.0")
    reachable = True

    def _info(self) -> Any:
        features = {"words": tfds.features.Text(), "n": tfds.features.Scalar(np.int64)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, _: Any) -> Any:
        if not self.reachable:
            raise ConnectionError("no route to host")
        return {"train": self._generate_examples(0), "test": self._generate_examples(1)}

    def _generate_examples(self, split: int) -> Any:
        for n in range(3):
            yield n, {"words": f"{split} {n}", "n": n}


@pytest.fixture
def tfds_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    return tmp_path


def test_any_dataset_of_tfds_by_its_name(tfds_folder: Path) -> None:
    builder = builders.named("house_words")
    assert Path(builder.data_dir).is_relative_to(tfds_folder)
    found = [one.text for one in builders.texts(builder, "words")]
    assert sorted(found[:3]) == ["1 0", "1 1", "1 2"]  # train comes last
    assert len(found) == 6
    with pytest.raises(
        Refusal, match=r"'text' of house_words.*has n, words: give --fi"
    ):
        list(builders.texts(builder))


def test_a_dataset_that_cannot_be_fetched_is_refused(
    tfds_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HouseWords, "reachable", False)
    with pytest.raises(Refusal, match=r"could not get house_words .*no route to host"):
        builders.named("house_words")


def test_an_unknown_dataset_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refusal, match="'tinypyton': did you mean tinypython"):
        builders.named("tinypyton")


def test_a_format_that_needs_tensorflow_is_refused() -> None:
    class Stored:
        class info:  # noqa: N801
            features = ("text",)
            splits = ("train",)
            full_name = "old/1.0.0"

        def as_data_source(self, split: str) -> None:
            raise NotImplementedError("tfrecord")

    with pytest.raises(Refusal, match=r"old/1.0.0 .* store it as array_record"):
        list(builders.texts(Stored()))
