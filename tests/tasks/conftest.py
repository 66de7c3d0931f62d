"""One tokenizer for all tests of tasks, trained as a run's is."""

import itertools

import pytest

from sparsetx.tasks.table import TASKS, drafts
from sparsetx.tasks.task import SPLITS
from sparsetx.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(
        side.program + "\n"
        for task in TASKS.values()
        for split in SPLITS
        for draft in itertools.islice(drafts(task, split, 9), 80)
        for side in (draft.a, draft.b)
    )
