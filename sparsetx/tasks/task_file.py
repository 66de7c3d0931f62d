"""Read a task of the user's own: pairs from a JSONL file, checked as ours are.

Each line is an object with prompt_a, answer_a, prompt_b and answer_b, all text. A hash
of the line decides its pool, so that adding lines does not change the others' pools.
"""

import hashlib
import json
from pathlib import Path

from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.system.files import PathLike, read_text
from sparsetx.tasks.pairs import (
    CONTEXT,
    Encoded,
    Pairs,
    Tokenizer,
    Unfit,
    encode,
    pack,
    pool_name,
)
from sparsetx.tasks.template import Draft, Side

KEYS = ("prompt_a", "answer_a", "prompt_b", "answer_b")
# Of 20 equal ranges of the hash: 12 for masks, 3 for choices, 5 for reports.
SHARES = ("train",) * 12 + ("val",) * 3 + ("test",) * 5


def _first_difference(a: str, b: str) -> int:
    """Index of the first character that differs, or the length of the shorter one."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _draft(line: str) -> Draft | str:
    """The pair on one line, or an error message."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(fields, dict):
        return f"wanted an object with {', '.join(KEYS)}, got {type(fields).__name__}"
    missing = [key for key in KEYS if key not in fields]
    extra = [key for key in fields if key not in KEYS]
    if missing or extra:
        return "; ".join(
            f"{what} {', '.join(map(repr, keys))}"
            for what, keys in (("lacks", missing), ("does not know", extra))
            if keys
        )
    wrong = [k for k in KEYS if not isinstance(fields[k], str) or not fields[k]]
    if wrong:
        return f"wanted text that is not empty in {', '.join(wrong)}"
    torn = [k for k in KEYS if any("\ud800" <= c <= "\udfff" for c in fields[k])]
    if torn:
        return f"wanted text, got half a character (a lone surrogate) in {torn[0]}"
    a, b = fields["prompt_a"], fields["prompt_b"]
    if a == b:
        return "both prompts are the same"
    where = _first_difference(a, b)
    sides = (
        Side(a, fields["answer_a"], "", where),
        Side(b, fields["answer_b"], "", where),
    )
    return Draft(*sides, template=0, distractor=False)


def _pool(line: str) -> str:
    digest = hashlib.sha256(line.encode()).digest()
    return SHARES[int.from_bytes(digest[:8], "big") % len(SHARES)]


def file_pairs(
    path: PathLike,
    tokenizer: Tokenizer,
    split: str = "heldout",
    *,
    context: int = CONTEXT,
) -> Pairs:
    """All pairs of a file that belong to one pool; the file's name names the task.

    Every line of the file is checked first, whatever its pool, and all errors are
    reported with their line numbers.
    """
    split = pool_name(split, str(path))
    offences: list[str] = []
    rows: dict[str, Encoded] = {}
    first: dict[str, int] = {}
    for number, line in enumerate(read_text(path, "a task file").splitlines(), 1):
        if not (line := line.strip()):
            continue
        draft = _draft(line)
        if isinstance(draft, str):
            offences.append(f"line {number}: {draft}")
        elif line in first:
            offences.append(f"line {number}: the same as line {first[line]}")
        else:
            first[line] = number
            try:
                rows[line] = encode(tokenizer, draft, context=context)
            except Unfit as unfit:
                offences.append(f"line {number}: {unfit}")
    refuse_all(f"the task file {path} cannot be used", offences)
    chosen = [row for line, row in rows.items() if _pool(line) == split]
    if not chosen:
        raise Refusal(
            f"wanted pairs of pool {split} in {path}: none of its {len(rows)} lines "
            "belongs to it (a hash of the line decides its pool); add lines"
        )
    return pack(Path(path).stem, split, chosen, tokenizer.eot)
