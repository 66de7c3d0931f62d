"""How often a corpus holds what the tasks ask about.

A model can only learn a circuit for behaviour that its data contains: the paper chose
its tasks from common code. The figure is occurrences per 10 000 tokens, for each side.
"""

import re
from collections.abc import Iterable

from sparsetx.tasks.pairs import Tokenizer
from sparsetx.tasks.task import Task

PER = 10_000  # tokens


def rates(
    tasks: Iterable[Task], texts: Iterable[str], tokenizer: Tokenizer
) -> dict[str, tuple[float, float]]:
    """Task name -> occurrences of A's and of B's construct per 10 000 tokens."""
    patterns = {
        task.name: tuple(re.compile(p, re.MULTILINE) for p in task.construct)
        for task in tasks
    }
    found = {name: [0, 0] for name in patterns}
    tokens = 0
    for text in texts:
        tokens += len(tokenizer.encode(text)) + 1  # `<eot>` ends every document
        for name, pair in patterns.items():
            for side, pattern in enumerate(pair):
                found[name][side] += sum(1 for _ in pattern.finditer(text))
    scale = PER / max(tokens, 1)
    return {name: (a * scale, b * scale) for name, (a, b) in found.items()}
