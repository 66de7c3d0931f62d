"""One corpus and one tokenizer for all tests of tasks, made as a run's are."""

import functools

import pytest

from sparsetx.data.grammar.document import document
from sparsetx.data.tokenizer import Tokenizer


@functools.cache
def documents() -> list[str]:
    return [document(0, i) for i in range(6000)]


@functools.cache
def trained(vocab: int = 2048) -> Tokenizer:
    return Tokenizer.train(documents(), vocab)


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return documents()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return trained()
