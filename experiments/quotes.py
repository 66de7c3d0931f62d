"""A model whose quote circuit can be written down as a program.

What a program must hold beside a circuit is mostly what words say. So there are no
positions, which make a word of every token at every place; no AbsTopK, which chooses
among all channels of a site; and few words. To be cut small all the same it is twice
as wide as the demo's model, four times as sparse (1 of 64 weights of a block), and
trained three times as long. 7 minutes on two cores, and 17 for the search; expected:
some 60 edges for the quote task at 0.15 nats, by the paper's procedure alone.

    sparsetx train experiments/quotes.py --run runs/quotes
    sparsetx prune runs/quotes --tasks single_double_quote --honest 0 \\
        --rounds 12x250,6x600,3x1500 --no-effective
    sparsetx decompile runs/quotes/circuits/single_double_quote --lines 800
"""

from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)


def config() -> RunConfig:
    return RunConfig(
        model=ModelConfig(
            vocab_size=512,
            context=64,
            n_layer=2,
            d_model=256,
            n_head=8,
            d_head=16,
            d_mlp=512,
            afrac=None,
            sink=True,
            bigram="counts",
        ),
        sparsity=SparsityConfig(block=0.016, embed=0.08),
        optim=OptimConfig(lr=1.2e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=3_000_000),
        train=TrainConfig(steps=10_000, batch=15, eval_every=1000, save_every=1000),
    )
