"""One tokenizer for all tests of tasks: trained as a run's is, on a smaller corpus."""

import pytest

from tests.tasks.bpe import Bpe


@pytest.fixture(scope="session")
def tokenizer() -> Bpe:
    return Bpe.trained()
