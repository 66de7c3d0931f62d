"""The words of each pool: those of the corpus, divided so that no pools share any."""

from sparsetx.data import words

# The pool of each of 20 consecutive words: all pools have words of all frequencies.
POOL_OF = ("train", "test", "train", "val", "train") * 3 + (
    "train",
    "test",
    "train",
    "test",
    "train",
)

STEMS = {*words.READ_STEMS, *words.WRITE_STEMS}
# {letter used in templates: words}. Stems of files are not used as names, since the
# same word could be a name in another pool. Words with an underscore are left out: they
# are two tokens in a string.
KINDS = {
    "n": tuple(name for name in words.NAMES if name not in STEMS),
    "f": tuple(name for name in words.FUNCTIONS if name not in STEMS),
    "c": words.CLASSES,
    "w": tuple(word for word in words.WORDS if word.isalpha()),
    "in": words.READ_STEMS,
    "out": words.WRITE_STEMS,
}


def pool(listed: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Those words of a list that belong to one pool."""
    return tuple(
        word for i, word in enumerate(listed) if POOL_OF[i % len(POOL_OF)] == split
    )


def words_for(split: str) -> dict[str, tuple[str, ...]]:
    """{kind: words} for one pool. All pools share the file extensions."""
    found = {kind: pool(listed, split) for kind, listed in KINDS.items()}
    return found | {"ext": words.EXTENSIONS}
