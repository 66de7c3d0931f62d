"""One corpus and one tokenizer for all tests of tasks, made as a run's are."""

import pytest

from sparsetx.data.grammar.document import document
from sparsetx.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return [document(0, i) for i in range(6000)]


@pytest.fixture(scope="session")
def tokenizer(corpus: list[str]) -> Tokenizer:
    return Tokenizer.train(corpus)
