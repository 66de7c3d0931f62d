"""Searches of different effort and method side by side, all judged alike.

    python experiments/results/searches.py RUN OUT.jsonl --tasks A,B --kinds faithful \\
        --methods learned,hard-concrete,integrated --efforts 1,2,4 --seeds 3
    python experiments/results/searches.py OUT.jsonl...   # the tables

Every search is one line of OUT.jsonl; what is there is not searched again, so that it
goes on after a kill. Pools are the same for all: only the seed of the search differs.
An effort of 1 is two masks of 75 steps; the double has twice the steps, and from 8 on
there are rounds. Baselines by attribution need none, and have one line.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsetx import load_run
from sparsetx.circuits.measure import node_means
from sparsetx.circuits.search import cutting, pools
from sparsetx.circuits.search.cutting import SCORES, Cutting, Request
from sparsetx.circuits.search.pools import Sizes
from sparsetx.circuits.search.pruning import Aim, Effort
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import silent

ROUNDS = {
    1: ((2, 75),),
    2: ((2, 150),),
    4: ((2, 300),),
    8: ((4, 150), (2, 300)),
    16: ((4, 300), (2, 600)),
}
SIZES = Sizes(train=256, val=48, test=128, length=48)
KEYS = ("run", "task", "kind", "method", "effort", "seed")


def asked(args: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    each = (args.kinds, args.methods, args.efforts, range(args.seeds), args.tasks)
    for kind, method, effort, seed, task in itertools.product(*each):
        if method not in SCORES or (effort, seed) == (args.efforts[0], 0):
            yield task, kind, method, effort, seed


def search(args: argparse.Namespace) -> None:
    run = load_run(args.run)
    config = run.config.model
    drawn = {
        task: pools.drawn(task, run.tokenizer, config, SIZES, 0) for task in args.tasks
    }
    means = node_means.of_run(run, args.out.parent / f"{Path(args.run).name}-means", silent)
    done = {tuple(row[key] for key in KEYS) for row in read(args.out)}
    for task, kind, method, effort, seed in asked(args):
        place = (args.run, task, kind, method, effort, seed)
        if place in done:
            continue
        aim = Aim(seed=seed, faithful=1.0, effort=Effort(ROUNDS[effort], 16, 1))
        request = Request(aim, SIZES, method, effective=False)
        own = Cutting(run, means, request)
        began = time.perf_counter()
        ((_, _, one),) = cutting.circuits(own, {task: drawn[task]}, [kind])
        row = dict(zip(KEYS, place, strict=True)) | figures(one.facts)
        row["seconds"] = round(time.perf_counter() - began)
        with args.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def figures(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"status": told.status}
    if told.status == "reached":
        found |= {
            name: getattr(told.size, name) for name in ("edges", "edges_plus", "nodes")
        }
        names = ("mean", "H", "F", "accuracy")
        found |= {name: getattr(told.test, name) for name in names}
    return found


def read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():  # nothing was searched yet
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Quartiles of edges over seeds, by task, kind, method and effort; and what is kept
    where a search may only improve on those of less effort with the same seed."""
    yield "| run | task | kind | method | effort | reached | edges: quartiles | kept | s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    best: dict[Any, float] = {}
    rows = sorted(rows, key=lambda r: [r[key] for key in KEYS])
    for place, own in itertools.groupby(rows, lambda r: [r[k] for k in KEYS[:-1]]):
        group = list(own)
        sizes = [r["edges"] for r in group if r["status"] == "reached"]
        kept = []
        for row in group:
            which = (*(row[key] for key in KEYS if key != "effort"),)
            size = row.get("edges", float("inf"))
            best[which] = min(best.get(which, float("inf")), size)
            kept.append(best[which])
        three = (
            " ".join(f"{x:.0f}" for x in statistics.quantiles(sizes, method="inclusive"))
            if len(sizes) > 1
            else " ".join(map(str, sizes))
        )
        seconds = statistics.median(r["seconds"] for r in group)
        cells = (*place, f"{len(sizes)} of {len(group)}", three)
        words = map(str, (*cells, f"{statistics.median(kept):.0f}", f"{seconds:.0f}"))
        yield f"| {' | '.join(words)} |"


def words(text: str) -> list[str]:
    return text.split(",")


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("out", type=Path, nargs="*")
    parser.add_argument("--tasks", type=words, default=[])
    parser.add_argument("--kinds", type=words, default=["faithful"])
    parser.add_argument("--methods", type=words, default=["learned"])
    parser.add_argument("--efforts", type=numbers, default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if not args.tasks:
        paths = [Path(args.run), *args.out]
        print("\n".join(table([row for path in paths for row in read(path)])))
        return 0
    if len(args.out) != 1:
        parser.error("wanted one OUT.jsonl to write to, after RUN")
    (args.out,) = args.out
    try:
        search(args)
    except Refusal as refusal:
        print(f"searches.py: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
