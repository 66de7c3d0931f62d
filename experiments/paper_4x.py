"""The paper's 4x model (its label: 118.8 M parameters; counted here: 104.9 M).

Figure: pretraining loss against circuit size, the line of this size (section 3.1). The
paper sweeps the learning rate; here lr is the authors' own.
The number of steps is ours: 13.1 G tokens.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_4x.py --run runs/paper_4x
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
            d_model=1024,
            n_head=64,
            d_head=16,
            d_mlp=4096,
            compute="bfloat16",
            remat=True,
        ),
        sparsity=SparsityConfig(base=1 / 4),
        optim=OptimConfig(lr=0.0128),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
