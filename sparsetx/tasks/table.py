"""The twenty tasks, in the order of reports, and the function that makes pairs."""

import difflib
from collections.abc import Iterator
from itertools import zip_longest

from sparsetx.system.errors import Refusal
from sparsetx.tasks.families.brackets import BRACKET_BRACE, BRACKET_COUNTING
from sparsetx.tasks.families.branches import ELSE_ELIF, IF_EQUALS, IF_TERNARY, VAR_IF
from sparsetx.tasks.families.definitions import CLASS_INIT, FINAL_KWARG, LAMBDA_FUNC
from sparsetx.tasks.families.file_opens import WITH_AS, WITH_OPEN
from sparsetx.tasks.families.loops import ENUMERATE_RANGE, FOR_WHILE, INDENT_FOR
from sparsetx.tasks.families.names import VAR_SWAP, WHILE_RETURN_TRUE
from sparsetx.tasks.families.quotes import FSTRING_BRACE, SINGLE_DOUBLE_QUOTE
from sparsetx.tasks.families.types import SET_OR_STRING, SET_OR_STRING_FIXEDVARNAME
from sparsetx.tasks.pairs import (
    CONTEXT,
    Encoded,
    Pairs,
    Sieve,
    Tokenizer,
    pack,
    pool_name,
)
from sparsetx.tasks.pool_words import words_for
from sparsetx.tasks.seeded_draws import Draw
from sparsetx.tasks.surroundings import filler
from sparsetx.tasks.task import Task
from sparsetx.tasks.template import Draft, fill

TASKS = {
    task.name: task
    for task in (
        SINGLE_DOUBLE_QUOTE,
        BRACKET_COUNTING,
        SET_OR_STRING,
        SET_OR_STRING_FIXEDVARNAME,
        CLASS_INIT,
        FINAL_KWARG,
        WITH_AS,
        WITH_OPEN,
        BRACKET_BRACE,
        FOR_WHILE,
        ELSE_ELIF,
        FSTRING_BRACE,
        IF_TERNARY,
        VAR_SWAP,
        INDENT_FOR,
        LAMBDA_FUNC,
        IF_EQUALS,
        ENUMERATE_RANGE,
        VAR_IF,
        WHILE_RETURN_TRUE,
    )
}


def find(name: str) -> Task:
    """The task of this name; if unknown, a Refusal with similar names."""
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else "the tasks are: "
    hint = hint if near else hint + ", ".join(TASKS)
    raise Refusal(f"wanted the name of a task, got {name!r}: {hint}")


def drafts(task: Task, split: str, seed: int) -> Iterator[Draft]:
    """Pairs as text, without end; every other one has a distractor."""
    templates, lines, pool = task.templates[split], filler(split), words_for(split)
    number = 0
    while True:
        draw = Draw(f"{task.name}/{split}/{seed}/{number}", pool)
        which = number // 2 % len(templates)
        yield fill(templates[which], draw, lines, which, number % 2 == 0)
        number += 1


def task_pairs(
    name: str,
    tokenizer: Tokenizer,
    split: str = "heldout",
    n: int = 512,
    seed: int = 0,
    *,
    context: int = CONTEXT,
) -> Pairs:
    """`n` distinct pairs of a task: a pure function of the arguments.

    split: train, val or test (heldout is test); they share no templates and no words.
    At least half of the pairs have a distractor. context: the most tokens that a prompt
    may have, `<eot>` included.
    """
    task = find(name)
    split = pool_name(split, name)
    if n < 1:
        raise Refusal(f"wanted at least one pair of {name}, got n = {n}")
    sieve = Sieve(tokenizer, context, task.aligned, task.one_token)
    kept: dict[bool, list[Encoded]] = {True: [], False: []}
    need = {True: n - n // 2, False: n // 2}
    for tries, draft in enumerate(drafts(task, split, seed)):
        wanted = need[draft.distractor] - len(kept[draft.distractor])
        if wanted:
            kept[draft.distractor] += sieve(draft)
        if all(len(kept[kind]) == need[kind] for kind in kept):
            break
        if tries > 400 + 40 * n or (tries == 400 and not sieve.seen):
            raise sieve.refuse(name, split, n)
    rows = [row for two in zip_longest(kept[True], kept[False]) for row in two if row]
    return pack(name, split, rows, tokenizer.eot, task.one_token)


def chosen(text: str) -> list[str]:
    """The task names in `all` or in a comma-separated list."""
    if text == "all":
        return list(TASKS)
    return [find(name.strip()).name for name in text.split(",")]
