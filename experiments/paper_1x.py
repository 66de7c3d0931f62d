"""The paper's 1x model (its label: 7.4 M parameters; counted here: 7.4 M).

Figure: pretraining loss against circuit size, the line of this size (section 3.1). The
paper sweeps the learning rate; here lr is theirs at 4x over the root of the width.
The number of steps is ours: 13.1 G tokens.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_1x.py --run runs/paper_1x
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
            d_model=256,
            n_head=16,
            d_head=16,
            d_mlp=1024,
            compute="bfloat16",
            remat=False,
        ),
        sparsity=SparsityConfig(block=1 / 4, embed=1 / 4),
        optim=OptimConfig(lr=0.0256),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
