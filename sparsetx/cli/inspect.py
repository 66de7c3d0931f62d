"""Look into a run: its steps, and what is kept of each matrix and for each neuron. Or
into a circuit: its size, how it decides, and what its nodes do.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.circuits.circuit import Circuit
    from sparsetx.circuits.portrait import Portrait
    from sparsetx.density import Density

NODES = 16


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="RUN|CIRCUIT", help="a run's folder, or a circuit's")
    add("--step", type=int, help="of a run: a saved step (default: the last one)")
    add(
        "--nodes",
        type=int,
        metavar="N",
        help=f"of a circuit: those that matter most (default: {NODES})",
    )
    add(
        "--task-file",
        metavar="F.jsonl",
        help="of a circuit: the pairs of a task of your own",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx import files
    from sparsetx.circuits.circuit import JSON
    from sparsetx.errors import Refusal, refuse_all
    from sparsetx.run import CONFIG

    path = files.place(args.path)
    circuit = path.name == JSON or (path / JSON).is_file()
    if not circuit and not (path / CONFIG).is_file():
        raise Refusal(
            f"wanted a run or a circuit at {path}: it holds neither {CONFIG} nor {JSON}"
        )
    others = {"--step": args.step}
    if not circuit:
        others = {"--nodes": args.nodes, "--task-file": args.task_file}
    refuse_all(
        f"{path} is a {'circuit' if circuit else 'run'}",
        [f"{name} {x}: not for it" for name, x in others.items() if x is not None],
    )
    return of_circuit(args) if circuit else of_run(args)


def of_run(args: argparse.Namespace) -> int:
    from sparsetx import checkpoint, density, files
    from sparsetx.cli.train import settings
    from sparsetx.run import ENVIRONMENT, load_run

    run = load_run(args.path, args.step)
    saved = checkpoint.steps(run.path)
    print(f"{run.path}, step {run.step:,} (saved: {', '.join(map(str, saved))})")
    print("\n".join(settings(run.config)))
    if (run.path / ENVIRONMENT).exists():
        facts = files.read_json(run.path / ENVIRONMENT, "a run's environment")
        print(f"  data:      fingerprint {facts['data']}")
        for start in facts["starts"]:
            where = (
                f"{start['devices']}, {start['hosts']} host(s), code {start['code']}"
            )
            print(f"  started:   {start['time']} at step {start['step']:,} on {where}")
    rows = density.report(run.config.model, run.params)
    print("\n" + table(rows))
    return 0


def table(rows: list["Density"]) -> str:
    """Nonzero entries of each parameter and layer, and per neuron."""
    wide = max(len(row.name) for row in rows)
    head = "layer    nonzero  fraction   per neuron: least median   most   dead"
    lines = [f"  {'parameter':<{wide}}  {head}"]
    for row in rows:
        layer = "" if row.layer is None else row.layer
        line = (
            f"  {row.name:<{wide}}  {layer!s:>5} {row.nonzero:>10,} {row.fraction:9.4f}"
        )
        if (own := row.neurons) is not None:
            line += (
                f" {own.least:>18,} {own.median:>6,.0f} {own.most:>6,} {own.dead:>6,}"
            )
        lines.append(line)
    size, left = sum(r.size for r in rows), sum(r.nonzero for r in rows)
    lines.append(f"  {left:,} of {size:,} parameters are not zero")
    return "\n".join(lines)


def of_circuit(args: argparse.Namespace) -> int:
    from sparsetx.circuits import circuit, portrait, prompts, watch
    from sparsetx.circuits.facts import REACHED
    from sparsetx.errors import Refusal

    most = NODES if args.nodes is None else args.nodes
    if most < 0:
        raise Refusal(f"--nodes {most}: wanted 0 or more")
    folder = circuit.folder_of(args.path)
    facts = circuit.load_facts(folder)
    print(f"{folder}: {facts.task}, {facts.search.kind}")
    if facts.status != REACHED:
        print(f"  {facts.status}: there is no circuit to look into")
        return 0
    found = circuit.load_circuit(folder)
    asked = prompts.of(folder, facts, args.task_file, count=portrait.PAIRS)
    pairs = prompts.first_of(asked.pairs, portrait.PAIRS, found.config)
    sample = watch.of(found, pairs.tokens_BL, pairs.position_B)
    seen = portrait.of(found, pairs, sample, asked.tokenizer.token, edges=0)
    print(figures(found))
    print(f"\nHow it decides, on {len(pairs)} pairs of the test pool")
    for number, step in enumerate(seen.steps, 1):
        print(paragraph(f"{number}. {step.text}"))
    if most:
        print("\n" + listed(seen, most))
    return 0


def figures(found: "Circuit") -> str:
    """Its size, and how well it does what it does."""
    size, test = found.facts.size, found.facts.test

    def told(name: str, value: float | None) -> str:
        return f"{name} {'-' if value is None else f'{value:.3f}'}"

    return (
        f"  {size.edges:,} edges, {size.edges_plus:,} with constants, "
        f"{size.nodes:,} nodes ({size.pairs:,} pairs of them)\n"
        f"  on test prompts: {told('loss', test.mean)}, {told('H', test.H)}, "
        f"{told('right', test.accuracy)}, "
        f"{told('with distractors', test.distractor_accuracy)}"
    )


def listed(seen: "Portrait", most: int) -> str:
    """The nodes that matter most, and what each was seen to do."""
    order = sorted(seen.graph.nodes, key=lambda node: -abs(node.effect or 0))
    lines = [
        f"The {min(most, len(order))} nodes of {len(order)} that matter most: nats of "
        "loss without each, of logit straight",
        "to the right answer, the part of the decision that it carries into the other "
        "prompt,",
        "and what it does",
    ]
    for node in order[:most]:
        direct = "" if node.direct is None else f"{node.direct:+.2f}"
        swap = "" if node.swap is None else f"{round(node.swap, 2) + 0.0:.0%}"
        lines.append(f"  {node.name:<18} {node.effect:+7.3f} {direct:>7} {swap:>5}")
        lines.append(paragraph(node.description, "    "))
    return "\n".join(lines)


def paragraph(text: str, indent: str = "  ") -> str:
    import textwrap

    return textwrap.fill(
        text,
        88,
        initial_indent=indent,
        subsequent_indent=indent + "   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
