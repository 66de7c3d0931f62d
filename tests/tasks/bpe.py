import itertools

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from sparsetx.tasks.table import TASKS, drafts

PAT = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""


class Bpe:
    eot = 0

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def trained(cls):
        tk = Tokenizer(models.BPE())
        tk.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PAT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tk.decoder = decoders.ByteLevel()
        texts = [
            side.program
            for t in TASKS.values()
            for s in ("train", "val", "test")
            for d in itertools.islice(drafts(t, s, 9), 80)
            for side in (d.a, d.b)
        ]
        tk.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=2048,
                special_tokens=["<|endoftext|>"],
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        return cls(tk)

    def encode(self, text):
        return self.inner.encode(text).ids

    def decode(self, ids):
        return self.inner.decode(ids)
