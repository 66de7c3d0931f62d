"""Searches of different effort and method side by side, all judged alike.

    python experiments/results/searches.py RUN OUT.jsonl --tasks A,B --kinds faithful \\
        --methods learned,hard-concrete,integrated --rounds 8 --seeds 5
    python experiments/results/searches.py OUT.jsonl...   # the tables

Every search is one line of OUT.jsonl; what is there is not searched again, so that it
goes on after a kill. Pools are the same for all: only the seed of the search differs.
A search has rounds of two masks of 100 steps, each from the best circuit of those
before, and a line has the size after each round: so it holds all smaller efforts too.
Baselines by attribution need no search, and have one line.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from sparsetx import load_run
from sparsetx.circuits.facts import KINDS, Rank
from sparsetx.circuits.measure import node_means
from sparsetx.circuits.search import cutting, pools
from sparsetx.circuits.search.cutting import SCORES, Cutting, Request
from sparsetx.circuits.search.pools import Sizes
from sparsetx.circuits.search.pruning import Aim, Effort
from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.system.progress import silent
from sparsetx.tasks import table as tasks

ROUND = 2, 100  # masks, steps
SHOWN = 1, 2, 4, 8, 16  # rounds
PAIRS, FINALISTS = 8, 1
SIZES = Sizes(train=256, val=48, test=128, length=48)
KEYS = ("run", "task", "kind", "method", "rounds", "seed")


def asked(args: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    each = (args.kinds, args.methods, range(args.seeds), args.tasks)
    for kind, method, seed, task in itertools.product(*each):
        if method not in SCORES or seed == 0:
            yield task, kind, method, 0 if method in SCORES else args.rounds, seed


def search(args: argparse.Namespace) -> None:
    run = load_run(args.run)
    config = run.config.model
    drawn = {
        task: pools.drawn(task, run.tokenizer, config, SIZES, 0) for task in args.tasks
    }
    means = node_means.of_run(
        run, args.out.parent / f"{Path(args.run).name}-means", silent
    )
    done = {tuple(row[key] for key in KEYS) for row in read(args.out)}
    for task, kind, method, rounds, seed in asked(args):
        place = (args.run, task, kind, method, rounds, seed)
        if place in done:
            continue
        effort = Effort((ROUND,) * (rounds or 1), PAIRS, FINALISTS)
        aim = Aim(seed=seed, faithful=1.0, effort=effort)
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
    found: dict[str, Any] = {"status": told.status, "best": told.history.best}
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
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or {*KEYS, "best", "seconds"} - set(row):
            raise Refusal(
                f"{path}, line {number}, is no search of this script's: take it out"
            )
        found.append(row)
    return found


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Quartiles of edges⁺ over seeds, by task, kind, method and rounds. A search that
    has found no circuit counts as larger than all others."""
    yield "| run | task | kind | method | rounds | reached | edges⁺: quartiles | apart | s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    place = (*(key for key in KEYS if key not in ("rounds", "seed")),)
    rows = sorted(rows, key=lambda r: [r[key] for key in place])
    for name, own in itertools.groupby(rows, lambda r: [r[key] for key in place]):
        group = list(own)
        for rounds in SHOWN:
            each = [
                sizes(row)[rounds - 1] for row in group if len(sizes(row)) >= rounds
            ]
            if not each:
                continue
            reached = [size for size in each if size < float("inf")]
            low, middle, high = quartiles(each)
            apart = f"{(high - low) / middle:.0%}" if high < float("inf") else "–"
            seconds = statistics.median(
                row["seconds"] * rounds / len(sizes(row)) for row in group
            )
            shown = " ".join(
                "–" if x == float("inf") else f"{x:.0f}" for x in (low, middle, high)
            )
            cells = (*name, rounds, f"{len(reached)} of {len(each)}", shown, apart)
            yield f"| {' | '.join(map(str, (*cells, f'{seconds:.0f}')))} |"


def sizes(row: dict[str, Any]) -> list[float]:
    """Edges⁺ of the best circuit after each round."""
    return [size if size > 0 else float("inf") for size in row["best"]]


def quartiles(each: list[float]) -> tuple[float, float, float]:
    """By rank, since some may be infinite."""
    order, last = sorted(each), len(each) - 1
    return order[last // 4], order[last // 2], order[-(-3 * last // 4)]


def words(text: str) -> list[str]:
    return text.split(",")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("out", type=Path, nargs="*")
    parser.add_argument("--tasks", type=words, default=[])
    parser.add_argument("--kinds", type=words, default=["faithful"])
    parser.add_argument("--methods", type=words, default=["learned"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.tasks and len(args.out) != 1:
        parser.error("wanted one OUT.jsonl to write to, after RUN")
    try:
        if args.tasks:
            refuse_all("nothing to search", offences(args))
            args.tasks, args.out = tasks.chosen(",".join(args.tasks)), args.out[0]
            search(args)
        else:
            show([Path(args.run), *args.out])
    except (Refusal, OSError) as error:
        print(f"searches.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def offences(args: argparse.Namespace) -> list[str]:
    for name, given, known in (
        ("kinds", args.kinds, KINDS),
        ("methods", args.methods, get_args(Rank)),
    ):
        wrong = [one for one in given if one not in known]
        if wrong:
            return [f"--{name} {','.join(wrong)}: wanted some of {', '.join(known)}"]
    few = [name for name in ("rounds", "seeds") if getattr(args, name) < 1]
    return [f"--{name} {getattr(args, name)}: wanted 1 or more" for name in few]


def show(paths: list[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    refuse_all("no searches to show", [f"{path} is no file" for path in missing])
    print("\n".join(table([row for path in paths for row in read(path)])))


if __name__ == "__main__":
    sys.exit(main())
