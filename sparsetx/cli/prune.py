"""Search a run's model for the circuit of each task: the fewest nodes that still do it.

A task's honest circuit is written to RUN/circuits/TASK, and the plain one, found as in
the paper under weaker conditions, to plain/ in it. Finished tasks are skipped: to
resume after a kill, start the command again. Several processes share the tasks.
"""

import argparse
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sparsetx.circuits.facts import Facts
    from sparsetx.circuits.search.batch_job import Job
    from sparsetx.circuits.search.cutting import Request

ROUNDS = "8x200,4x400,2x800"
ROUND = re.compile(r"(\d+)x(\d+)")


def arguments(parser: argparse.ArgumentParser) -> None:
    what_to_cut(parser.add_argument)
    what_to_look_for(parser.add_argument)
    how_to_search(parser.add_argument)


def what_to_cut(add: Callable[..., Any]) -> None:
    add("run", metavar="RUN", help="a run's folder")
    add("--step", type=int, help="a saved step (default: the last one)")
    add(
        "--tasks",
        default="all",
        metavar="A,B",
        help="names of tasks, or all (default: all)",
    )
    add("--task-file", metavar="F.jsonl", help="a task of your own, instead of --tasks")
    add("--out", metavar="DIR", help="where to write circuits (default: RUN/circuits)")
    add(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="search the model with shuffled weights, as a control",
    )
    add(
        "--shuffle-part",
        choices=("all", "blocks"),
        default="all",
        help="which matrices are shuffled: all, or those of the blocks, with embedding "
        "and unembedding kept (default: all)",
    )


def what_to_look_for(add: Callable[..., Any]) -> None:
    add(
        "--target",
        type=float,
        default=0.15,
        help="task loss of a circuit, in nats (default: 0.15)",
    )
    add(
        "--honest",
        type=float,
        default=1.0,
        metavar="0..1",
        help="how much of a batch has frozen norms and random mixtures; 0: search only "
        "the plain circuit (default: 1)",
    )

    add(
        "--faithful",
        action="store_true",
        help="also find circuits that hold with other nodes as on other prompts "
        "(in TASK/faithful)",
    )


def how_to_search(add: Callable[..., Any]) -> None:
    add(
        "--rounds",
        default=ROUNDS,
        metavar="NxS,…",
        help="lanes x steps of each round; the first begins with all nodes, others "
        f"with the best circuit so far (default: {ROUNDS})",
    )
    best = "best masks that are discretised and checked (default: 2)"
    add("--finalists", type=int, default=2, metavar="N", help=best)
    add("--pairs", type=int, default=32, help="pairs per batch (default: 32)")
    add(
        "--pools",
        default="512,64,512",
        metavar="TRAIN,VAL,TEST",
        help="pairs of each pool (default: 512,64,512)",
    )
    add(
        "--improve",
        action="store_true",
        help="search again where circuits exist, with other --rounds, --pairs or "
        "--finalists; the smaller circuit stays",
    )
    add("--length", type=int, metavar="N", help="longest prompt, tokens (default: all)")
    add("--memory", type=float, metavar="GB", help="for lanes (default: half of all)")
    add("--seed", type=int, default=0, help="seed of pools and search (default: 0)")
    add("--final", action="store_true", help="also mask the residual at the end")
    add("--tied", action="store_true", help="one mask for a query and its key channel")
    add(
        "--rank",
        choices=("learned", "hard-concrete", "attribution", "integrated"),
        default="learned",
        help="how nodes are ranked: by a learned mask (default); or, to compare, by "
        "hard-concrete gates, gradient x activation, or integrated gradients",
    )
    add(
        "--effective",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also find the fewest single edges (default: yes)",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.system import files, hosts

    hosts.device_per_core()
    from sparsetx.circuits.search import batch_job
    from sparsetx.cli.progress import ProgressLine
    from sparsetx.run import load_run
    from sparsetx.system.errors import Refusal
    from sparsetx.tasks.table import chosen

    request = asked(args)
    run = load_run(args.run, args.step)
    if args.task_file:
        tasks = batch_job.of_file(run, args.task_file, request)
    else:
        tasks, unfit = batch_job.of_names(run, chosen(args.tasks), request)
        if unfit and args.tasks != "all":
            raise Refusal("\n".join(unfit.values()))
        for name, reason in unfit.items():
            print(f"{name}: skipped. {reason.splitlines()[0]}")
    out = out_folder(args, files.place(args.run))
    own = batch_job.of_run(run, tasks, request, out, args.improve)
    line = ProgressLine()
    for facts in batch_job.work(own, line):
        line.close()
        print(f"  {told(facts)}", flush=True)
    line.close()
    show(own)
    return 0


def asked(args: argparse.Namespace) -> "Request":
    from sparsetx.circuits.search import lanes
    from sparsetx.circuits.search.cutting import Request
    from sparsetx.circuits.search.pools import Sizes
    from sparsetx.circuits.search.pruning import Aim, Effort
    from sparsetx.system.errors import refuse_all

    refuse_all("these cannot be used", offences(args))
    rounds = tuple((int(n), int(s)) for n, s in ROUND.findall(args.rounds))
    aim = Aim(
        args.target,
        args.honest,
        args.seed,
        args.final,
        args.tied,
        Effort(rounds, args.pairs, args.finalists),
        float(args.faithful),
    )
    memory = args.memory * 1e9 if args.memory else lanes.memory_here()
    train, val, test = map(int, args.pools.split(","))
    sizes = Sizes(train, val, test, args.length)
    return Request(
        aim,
        sizes,
        args.rank,
        args.effective,
        memory,
        args.shuffle,
        args.shuffle_part,
    )


def offences(args: argparse.Namespace) -> Iterator[str]:
    if not 0 <= args.honest <= 1:
        yield f"--honest {args.honest}: wanted 0 to 1"
    if not 0 < args.target < 0.69:
        yield f"--target {args.target}: wanted 0 to 0.69 (log 2: guessing)"
    rounds = ROUND.findall(args.rounds)
    typed = ",".join(f"{n}x{s}" for n, s in rounds) == args.rounds
    if not typed or not all(int(n) and int(s) for n, s in rounds):
        yield f"--rounds {args.rounds}: wanted NxS,NxS,… such as {ROUNDS}"
    pools = re.fullmatch(r"(\d+),(\d+),(\d+)", args.pools)
    if not pools or not all(map(int, pools.groups())):
        yield f"--pools {args.pools}: wanted TRAIN,VAL,TEST pairs"
    for name in ("pairs", "length", "memory", "finalists"):
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            yield f"--{name} {value}: wanted more than 0"
    for name in ("seed", "shuffle"):
        if (getattr(args, name) or 0) < 0:
            yield f"--{name} {getattr(args, name)}: wanted 0 or more"


def out_folder(args: argparse.Namespace, run: "Path") -> "Path":
    from sparsetx.system import files

    if args.out:
        return files.place(args.out)
    parts = ["circuits"]
    if args.shuffle is not None:
        part = "" if args.shuffle_part == "all" else f"{args.shuffle_part}-"
        parts.append(f"shuffled-{part}{args.shuffle}")
    if args.rank != "learned":
        parts.append(args.rank)
    return run / "-".join(parts)


def told(facts: "Facts") -> str:
    """One circuit, in one line."""
    kind = facts.search.kind
    if facts.status != "reached":
        test = facts.test
        return (
            f"{facts.task}, {kind}: {facts.status} at {facts.search.target} nats "
            f"(whole model: loss {test.whole_loss:.3f}, right "
            f"{100 * (test.whole_accuracy or 0):.1f}%)"
        )
    size, test = facts.size, facts.test
    return (
        f"{facts.task}, {kind}: {size.edges} edges, {size.nodes} nodes, loss "
        f"{test.mean:.3f}, H {test.H:.3f}, F {test.F:.3f}, right "
        f"{100 * test.accuracy:.1f}%"
    )


def show(own: "Job") -> None:
    """Print the table of all circuits found so far, and their means."""
    from sparsetx.circuits import size_means
    from sparsetx.circuits.search import batch_job

    found = batch_job.results(own)
    left = [task for task in own.tasks if task not in dict(found)]
    width = max([len(task) for task, _ in found], default=4)
    head = (
        f"{'task':<{width}}  {'':<8} {'whole':>13}  {'edges':>6} {'edges+':>6} "
        f"{'eff.':>5} {'nodes':>5} {'pairs':>7}  {'mean':>5} {'H':>5} {'F':>5} "
        f"{'right':>6} {'scale':>5}"
    )
    print(f"circuits in {own.out}, on the test pool\n{head}")
    for task, circuits in found:
        for facts in circuits:
            print(f"{task:<{width}}  {row(facts)}")
    for kind in own.kinds:
        same = [f for _, own_ in found for f in own_ if f.search.kind == kind]
        counted = size_means.counted(same)
        for name in ("edges", "edges_plus", "pairs", "effective_edges"):
            sizes = [getattr(f.size, name) for f in counted]
            mean = size_means.geometric_mean([s for s in sizes if s is not None])
            if mean:
                print(
                    f"geometric mean of {name}, {kind}: {mean}, {mean.count} tasks "
                    "(bootstrap, 95%)"
                )
    if left:
        print(f"searched by other processes: {', '.join(left)}")


def row(facts: "Facts") -> str:
    kind = facts.search.kind
    size, test = facts.size, facts.test
    whole = f"{test.whole_loss:6.3f} {100 * (test.whole_accuracy or 0):5.1f}%"
    if facts.status != "reached":
        return f"{kind:<8} {whole}  {facts.status}"
    effective = "-" if size.effective_edges is None else str(size.effective_edges)
    return (
        f"{kind:<8} {whole}  {size.edges:>6} {size.edges_plus:>6} {effective:>5} "
        f"{size.nodes:>5} {size.pairs:>7}  {test.mean:5.3f} {test.H:5.3f} "
        f"{test.F:5.3f} {100 * test.accuracy:5.1f}% {facts.calibration.scale:5.2f}"
    )
