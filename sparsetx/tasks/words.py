"""The words of each pool: the corpus's own, dealt out so that none is in two pools."""

from sparsetx.data import lexicon

# Of every 20 words in a row, frequent ones first: all pools are alike in frequency.
DEAL = ("train", "test", "train", "val", "train") * 3 + (
    "train",
    "test",
    "train",
    "test",
    "train",
)

STEMS = {*lexicon.READ_STEMS, *lexicon.WRITE_STEMS}
# The letters by which templates ask for them. A file's stem is no name: it would be one
# in another pool. Words with an underscore are two tokens in a string, and the lexicon
# has enough others.
KINDS = {
    "n": tuple(name for name in lexicon.NAMES if name not in STEMS),
    "f": tuple(name for name in lexicon.FUNCTIONS if name not in STEMS),
    "c": lexicon.CLASSES,
    "w": tuple(word for word in lexicon.WORDS if word.isalpha()),
    "in": lexicon.READ_STEMS,
    "out": lexicon.WRITE_STEMS,
}


def pool(words: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The words that belong to one of train, val and test."""
    return tuple(word for i, word in enumerate(words) if DEAL[i % len(DEAL)] == split)


def words(split: str) -> dict[str, tuple[str, ...]]:
    """Every kind of word, for one pool. Extensions decide nothing: all share them."""
    dealt = {kind: pool(words, split) for kind, words in KINDS.items()}
    return dealt | {"ext": lexicon.EXTENSIONS}
