"""List the tasks, show the prompts of one, or check them with a tokenizer.

Without a name: the table of tasks. With a name: its description, and pairs in which
the character that decides is marked. With --check: how many pairs a tokenizer can
express, and the accuracy of three classifiers that ignore the program's structure.
"""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sparsetx.system.errors import Refusal, refuse_all

if TYPE_CHECKING:
    from sparsetx.tasks.pairs import Pairs, Tokenizer
    from sparsetx.tasks.task import Task
    from sparsetx.tasks.template import Draft, Side

WANTED = {"train": 2000, "val": 500, "test": 500}  # distinct pairs per pool
DOCUMENTS = 4000  # of tinypython in which constructs are counted


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a task (default: all)")
    parser.add_argument(
        "--show",
        type=int,
        default=3,
        metavar="N",
        help="pairs to print (default: %(default)s)",
    )
    parser.add_argument(
        "--split",
        default="heldout",
        choices=("train", "val", "test", "heldout"),
        help="their pool; heldout is test (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the pairs (default: %(default)s)"
    )
    parser.add_argument(
        "--context",
        type=int,
        default=256,
        metavar="TOKENS",
        help="the longest prompt, in tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="a tokenizer.json, to count tokens"
    )
    parser.add_argument(
        "--task-file",
        metavar="FILE.jsonl",
        help="a task of your own: prompt_a, answer_a, prompt_b, answer_b on each line",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="print pairs per pool and accuracies of shortcuts (takes a minute)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.tasks.table import TASKS, find

    if args.show < 1:
        raise Refusal(f"wanted --show of at least 1 pair, got {args.show}")
    tokenizer = _tokenizer(args.tokenizer)
    if (args.check or args.task_file) and tokenizer is None:
        what = "--check" if args.check else "--task-file"
        raise Refusal(f"{what} needs --tokenizer FILE: the run's tokenizer.json")
    if args.task_file:
        _show_file(args, tokenizer)
    elif args.check:
        _check([find(args.name)] if args.name else TASKS.values(), tokenizer, args)
    elif args.name:
        _show(find(args.name), tokenizer, args)
    else:
        _table(TASKS.values())
    return 0


def _tokenizer(path: str | None) -> "Tokenizer | None":
    if path is None:
        return None
    from sparsetx.data.tokenizer import Tokenizer

    return Tokenizer.load(path)


def _table(tasks: "Iterable[Task]") -> None:
    tasks = list(tasks)
    width = max(len(task.name) for task in tasks)
    for task in tasks:
        print(f"{task.name:<{width}}  {task.contrast}")
    print(
        f"\n{len(tasks)} tasks. Templates per pool (train/val/test): "
        + ", ".join(sorted({_templates(task) for task in tasks}))
        + "; half of the pairs carry a distractor.\nsparsetx tasks NAME shows one."
    )


def _templates(task: "Task") -> str:
    return "/".join(str(len(pool)) for pool in task.templates.values())


def _show(
    task: "Task", tokenizer: "Tokenizer | None", args: argparse.Namespace
) -> None:
    """Print a task and some pairs; with a tokenizer, only pairs that it can express."""
    from itertools import islice

    from sparsetx.tasks.pairs import pool_name
    from sparsetx.tasks.table import drafts, task_pairs

    print(f"{task.name}: {task.contrast}\n{task.asks}\nexcludes {task.excludes}")
    print(f"templates (train/val/test): {_templates(task)}")
    split = pool_name(args.split, task.name)
    if tokenizer is None:
        _print_pairs(islice(drafts(task, split, args.seed), args.show))
        return
    pairs = task_pairs(
        task.name, tokenizer, split, args.show, args.seed, context=args.context
    )
    _print_pairs(pairs.drafts, pairs)


def _show_file(args: argparse.Namespace, tokenizer: "Tokenizer | None") -> None:
    from sparsetx.tasks.task_file import file_pairs

    assert tokenizer is not None
    pairs = file_pairs(args.task_file, tokenizer, args.split, context=args.context)
    print(f"{pairs.task}: {len(pairs)} pairs in pool {pairs.split}")
    _print_pairs(pairs.drafts[: args.show], pairs)


def _print_pairs(drafts: "Iterable[Draft]", pairs: "Pairs | None" = None) -> None:
    for i, draft in enumerate(drafts):
        kind = "with a distractor" if draft.distractor else "plain"
        print(f"\npair {i}, {kind}, template {draft.template}")
        for letter, side, row in (("A", draft.a, 2 * i), ("B", draft.b, 2 * i + 1)):
            _print_side(letter, side)
            if pairs is not None:
                count, answer = pairs.position_B[row] + 1, pairs.answers_B2[row, 0]
                print(f"    {count} tokens, answer {answer}")


def _print_side(letter: str, side: "Side") -> None:
    """Print a prompt, a caret under the character that decides, and the answer."""
    answer = repr(side.answer) if side.answer else "anything but the other's"
    print(f"  {letter} -> {answer}")
    start = 0
    for line in side.prompt.split("\n"):
        print(f"    | {line}")
        if start <= side.where <= start + len(line):
            print("    | " + " " * (side.where - start) + "^")
        start += len(line) + 1


def _check(
    tasks: "Iterable[Task]", tokenizer: "Tokenizer | None", args: argparse.Namespace
) -> None:
    """Print one line per task; then refuse all tasks that cannot be expressed."""
    from sparsetx.data.grammar.document import document
    from sparsetx.tasks.checks import rates
    from sparsetx.tasks.table import task_pairs

    assert tokenizer is not None
    tasks = list(tasks)
    rate = rates(tasks, (document(0, i) for i in range(DOCUMENTS)), tokenizer)
    print(
        "A, B: occurrences per 10 000 tokens of tinypython; tokens: of a prompt; then\n"
        "the accuracy on test of classifiers fitted on train; hard: with a distractor\n"
        f"{'task':<28}{'A':>7}{'B':>7}{'pairs':>14}{'tokens':>8}"
        f"{'bigram':>8}{'ends':>7}{'bag':>7}{'bag, hard':>11}"
    )
    offences = []
    for task in tasks:
        try:
            pools = [
                task_pairs(
                    task.name, tokenizer, split, n, args.seed, context=args.context
                )
                for split, n in WANTED.items()
            ]
        except Refusal as refusal:
            offences.append(str(refusal).replace("\n", "\n    "))
            continue
        a, b = rate[task.name]
        print(f"{task.name:<28}{a:>7.1f}{b:>7.1f}{_figures(*pools)}", flush=True)
    refuse_all("this tokenizer cannot express every task", offences)


def _figures(train: "Pairs", val: "Pairs", test: "Pairs") -> str:
    from sparsetx.tasks import checks

    told = checks.bag(train, test)
    sizes = "/".join(str(len(pairs)) for pairs in (train, val, test))
    return (
        f"{sizes:>14}{(test.position_B + 1).mean():>8.1f}"
        f"{checks.bigram(train, test).mean():>8.3f}"
        f"{checks.ends(train, test).mean():>7.3f}"
        f"{told.mean():>7.3f}{told[test.distractor_P.repeat(2)].mean():>11.3f}"
    )
