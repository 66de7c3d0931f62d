"""The frontier of the paper's second figure on a laptop: circuit size against loss.

24 sparse models of the shape of demo.py (3 widths, 4 densities, 2 seeds) and 6 dense
partners, each trained briefly and cut for six tasks: plain, honest and faithful, with
the search of `make demo`. One seed of each sparse model is also cut with shuffled
weights. The paper finds that at equal loss wider models have smaller circuits, and that
along one width sparser models trade loss for smaller circuits; nothing here has been
run to see whether so small models show it.

The hours are not measured yet: `sparsetx study` prints how long is left once a cell is
done. Several processes share the cells; start one for each core.

    sparsetx study experiments/frontier.py
    sparsetx study experiments/frontier.py --only width=64,seed=0
"""

from sparsetx.circuits.search.cutting import Request
from sparsetx.circuits.search.pools import Sizes
from sparsetx.circuits.search.pruning import Aim, Effort
from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.study import Study

HEADS = {width: width // 16 for width in (64, 96, 128)}
DENSITIES = (4, 8, 16, 32)  # one weight in so many of a block is kept


def config() -> RunConfig:
    """The widest model at 1/16, which the axes change."""
    return RunConfig(
        model=ModelConfig(
            vocab_size=1024,
            context=64,
            n_layer=2,
            d_model=128,
            n_head=8,
            d_head=16,
            d_mlp=512,
            sink=True,
            bigram="counts",
            positions="added",
        ),
        sparsity=SparsityConfig(block=1 / 16, embed=1 / 4, alive=2),
        optim=OptimConfig(lr=1.2e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=3_000_000),
        train=TrainConfig(steps=3000, batch=15, eval_every=500, save_every=500),
    )


def study() -> Study:
    widths = {
        str(width): [
            f"model.d_model={width}",
            f"model.n_head={heads}",
            f"model.d_mlp={4 * width}",
        ]
        for width, heads in HEADS.items()
    }
    densities = {f"1-{n}": [f"sparsity.block={1 / n}"] for n in DENSITIES}
    densities["dense"] = [
        "model.afrac=null",
        "sparsity.block=1",
        "sparsity.embed=1",
        "optim.lr=4e-3",
        "train.steps=1000",
    ]
    return Study(
        config(),
        {
            "width": widths,
            "density": densities,
            "seed": {"0": [], "1": ["seed=1"]},
        },
        tasks=(
            "single_double_quote",
            "for_while",
            "if_ternary",
            "fstring_brace",
            "lambda_func",
            "if_equals",
        ),
        search=Request(
            Aim(effort=Effort(rounds=((2, 100),), pairs=8, finalists=1)),
            Sizes(train=256, val=48, test=128, length=48),
            effective=False,
        ),
        dense=("density=dense",),
        shuffled=tuple(f"density=1-{n},seed=0" for n in DENSITIES),
    )
