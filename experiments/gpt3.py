"""A weight-sparse model of GPT-3's size: 96 layers of 12288 channels (175.2 G).

Figure: none of the paper's, whose largest model has 1.9 G parameters. What this size
would take: `make cost EXP=experiments/gpt3.py POD=v5p-1024` asks the compiler, and
experiments/results/aot.md keeps its answer for 512 chips, data x fsdp. One weight in
1024 is left, as in the paper's sparsest runs: its rule p/E² would leave too few for the
minimum of each neuron. lr is theirs at 4x over the root of the width. A vocabulary,
context, batch and number of steps like GPT-3's: 50 k, 2048 tokens, 3.1 M tokens, 299 G
tokens. A sparse model of equal loss needs many times more, the paper says.

    sparsetx data prepare files --files 'corpus/*.txt' --vocab 50304
    sparsetx aot experiments/gpt3.py --topology v5p-1024
    sparsetx train experiments/gpt3.py --run gs://BUCKET/runs/gpt3
"""

from sparsetx.config import (
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)


def config() -> RunConfig:
    return RunConfig(
        model=ModelConfig(
            vocab_size=50304,
            context=2048,
            n_layer=96,
            d_model=12288,
            n_head=96,
            d_head=128,
            d_mlp=49152,
            compute="bfloat16",
            remat=True,
        ),
        sparsity=SparsityConfig(block=1 / 1024, embed=1 / 192),
        optim=OptimConfig(lr=0.0037),
        data=DataConfig(name="files"),
        train=TrainConfig(steps=95_000, batch=1536, accumulate=3),
        mesh=MeshConfig(fsdp=64),
    )
