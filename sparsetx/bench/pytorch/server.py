"""Serve turns of one contestant: `python -m sparsetx.bench.pytorch.server SETTINGS`.

SETTINGS is JSON with `kind`, `threads`, and what that kind takes. A line on standard
input asks for a turn; the answer is a line of JSON with the seconds it took, and the
most bytes that it held beyond those of an empty process.

Memory is managed as PyTorch comes. Keeping freed memory, which saves our own steps a
third of their time (system/cpu/malloc.py), was tried and saves its steps nothing; large
pages were not tried.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch

from sparsetx.bench.pytorch import selection
from sparsetx.bench.pytorch.masks import Pool, Search, Settings
from sparsetx.bench.pytorch.network import Network, Size
from sparsetx.bench.pytorch.step import Recipe, Step

Turn = Callable[[], object]


def training_step(size: Mapping[str, Any], recipe: Mapping[str, Any],
                  batch: int, recompute: bool = False,
                  compiled: bool = False) -> Turn:  # fmt: skip
    """`compiled`: forward and backward pass by torch.compile."""
    shape = Size(**size)
    step = Step(shape, _recipe(recipe), recompute)
    if compiled:
        step.network.compile()
    rows = torch.randint(shape.vocab, (batch, shape.context + 1))
    return lambda: step(rows)


def projection(size: Mapping[str, Any], recipe: Mapping[str, Any]) -> Turn:
    """Alone, on weights that are all there, as Adam leaves them."""
    step = Step(Size(**size), _recipe(recipe))
    full = [w.detach().clone() for w in step.matrices]

    def turn() -> float:
        with torch.no_grad():
            torch._foreach_copy_(step.matrices, full)
        began = time.perf_counter()
        step.project(1.0)
        return time.perf_counter() - began

    return turn


def rows(shape: tuple[int, int], k: int, dtype: str) -> Turn:
    x = torch.randn(*shape).to(getattr(torch, dtype))
    return lambda: selection.keep_largest(x, k)


def matrix(shape: tuple[int, int], k: int) -> Turn:
    w = torch.randn(1, *shape).flatten(1)
    return lambda: selection.keep_mask(w, k)


def masks(size: Mapping[str, Any], settings: Mapping[str, float], pool: int,
          pairs: int, steps: int, runs: int) -> Turn:  # fmt: skip
    """So many searches, one after another, of prompts of noise."""
    shape = Size(**size)
    means = torch.zeros(shape.layers, sum(shape.widths))
    search = Search(Network(shape), means, Settings(**settings))
    many = 2 * pool
    asked = Pool(
        torch.randint(shape.vocab, (many, shape.context)),
        torch.full((many,), shape.context - 1),
        torch.randint(shape.vocab, (many, 2)),
    )
    return lambda: [search.run(asked, pairs, steps) for _ in range(runs)]


KINDS: Mapping[str, Callable[..., Turn]] = {
    "step": training_step,
    "projection": projection,
    "rows": rows,
    "matrix": matrix,
    "masks": masks,
}


def _recipe(settings: Mapping[str, Any]) -> Recipe:
    return Recipe(**{**settings, "betas": tuple(settings["betas"])})


def serve(settings: dict[str, Any], requests: TextIO, answers: TextIO) -> None:
    """Until there are no more requests. A turn that is only in part the contestant's
    work returns its own seconds."""
    torch.manual_seed(0)
    torch.set_num_threads(settings.pop("threads"))
    timed = settings["kind"] == "projection"
    empty = _most_memory()
    turn = KINDS[settings.pop("kind")](**settings)
    for _ in requests:
        began = time.perf_counter()
        found = turn()
        seconds = time.perf_counter() - began
        if timed and isinstance(found, float):
            seconds = found
        answer = {"seconds": seconds, "memory": _most_memory() - empty}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _most_memory() -> int:
    """The most bytes that this process has held; 0 where the system does not say.
    (ru_maxrss will not do: it begins with what the parent held.)"""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    held = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(held[0]) if held else 0


if __name__ == "__main__":
    # What libraries print must not be taken for an answer.
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), sys.stdin, own)
