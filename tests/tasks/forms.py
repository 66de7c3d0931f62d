"""What a line of a program looks like when its names, numbers and words are left out.

total = len("red fox") + 12      n = len(S) + K
"""

import builtins
import keyword
import re

KEPT = {*keyword.kwlist, *dir(builtins), "self"}
STRING = re.compile(r"""(f?)(["'])[^"'\n]*\2""")
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def _string(found: re.Match[str]) -> str:
    return '""' if len(found[0]) == 2 else "F" if found[1] else "S"


def form(line: str) -> str:
    """Rows of numbers, and of strings, count as one whatever their length."""
    line = STRING.sub(_string, line.strip())
    line = re.sub(r"\b\d+\b", "K", line)
    line = NAME.sub(lambda m: m[0] if m[0] in KEPT or m[0] in "FSK" else "n", line)
    line = re.sub(r"\.\w+\b(?!\()", ".n", line)
    return re.sub(r"(K, )+K", "K*", re.sub(r"(S, )+S", "S*", line))
