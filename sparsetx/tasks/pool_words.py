"""The words of each pool: the corpus's own, dealt out so that none is in two pools."""

from sparsetx.data import words

# Of every 20 words in a row, frequent ones first: all pools are alike in frequency.
DEAL = ("train", "test", "train", "val", "train") * 3 + (
    "train",
    "test",
    "train",
    "test",
    "train",
)

STEMS = {*words.READ_STEMS, *words.WRITE_STEMS}
# The letters by which templates ask for them. A file's stem is no name: it would be one
# in another pool. Words with an underscore are two tokens in a string, and the lexicon
# has enough others.
KINDS = {
    "n": tuple(name for name in words.NAMES if name not in STEMS),
    "f": tuple(name for name in words.FUNCTIONS if name not in STEMS),
    "c": words.CLASSES,
    "w": tuple(word for word in words.WORDS if word.isalpha()),
    "in": words.READ_STEMS,
    "out": words.WRITE_STEMS,
}


def pool(listed: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The words that belong to one of train, val and test."""
    return tuple(word for i, word in enumerate(listed) if DEAL[i % len(DEAL)] == split)


def dealt_words(split: str) -> dict[str, tuple[str, ...]]:
    """Every kind of word, for one pool. Extensions decide nothing: all share them."""
    dealt = {kind: pool(listed, split) for kind, listed in KINDS.items()}
    return dealt | {"ext": words.EXTENSIONS}
