"""Print the largest |Δ logits| between model and twin over the whole grid of cases.

    .venv-torch/bin/python -m tests.torch.grid

Compiles the model 1152 times: about twenty minutes on two busy cores. Part of no suite.
"""

import sys
import time

import numpy as np
import torch

from sparsetx import openai_format
from tests.torch import cases, ours, twin


def difference(of: cases.Case) -> float:
    state, tokens_BL = of.inputs
    with torch.no_grad():
        theirs = twin.Twin(of.config, state).logits(torch.tensor(tokens_BL).long())
    mine = ours.run(*openai_format.from_state(of.config, state), tokens_BL)
    return float(np.abs(mine - theirs.numpy()).max())


def main() -> None:
    start, found = time.perf_counter(), []
    for of in cases.grid():
        found.append((difference(of), of.name))
        if len(found) % 50 == 0:
            seconds = time.perf_counter() - start
            print(f"{len(found)} cases, {seconds:.0f} s", file=sys.stderr, flush=True)
    for worst, name in sorted(found, reverse=True)[:3]:
        print(f"{worst:.2e}  {name}")
    print(f"max |Δ logits| over {len(found)} cases, float32: {max(found)[0]:.2e}")


if __name__ == "__main__":
    main()
