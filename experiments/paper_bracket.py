"""The released model of the bracket circuit (csp_yolo2): its shape and sparsity.

Figure: bracket_counting, a circuit of 7 nodes and 4 edges after merging by hand
(section 3.2); 133 nodes and 140 edges as released. With p = 1/16 a neuron has two
weights on average, so `alive` is 2 here. The number of steps is ours.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_bracket.py --run runs/paper_bracket
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
            d_model=2048,
            n_head=128,
            d_mlp=8192,
            sink=True,
            positions="concatenated",
            d_pos=32,
            compute="bfloat16",
            remat=True,
        ),
        sparsity=SparsityConfig(base=1 / 16, alive=2, anneal_end=0.8),
        optim=OptimConfig(lr=9.1e-3),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
