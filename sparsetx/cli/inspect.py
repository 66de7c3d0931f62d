"""Show what is in a run or a circuit.

Of a run: its steps, and the nonzero weights of each matrix and neuron. Of a circuit:
its size, how it decides, and what its nodes do.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsetx.circuits.circuit import Circuit
    from sparsetx.circuits.explain.explanation import Explanation
    from sparsetx.projection.density import Density

NODES = 16
MEANINGS = (
    "(Ablation cost: nats by which the loss rises without a node. Interchange effect: "
    "how far the answer moves towards the other prompt's when the node alone takes its "
    "value there.)"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="RUN|CIRCUIT", help="a run's folder, or a circuit's")
    add("--step", type=int, help="of a run: a saved step (default: the last one)")
    add(
        "--nodes",
        type=int,
        metavar="N",
        help="of a circuit: how many nodes are listed, the largest ablation costs "
        f"first (default: {NODES})",
    )
    add(
        "--task-file",
        metavar="F.jsonl",
        help="of a circuit: the pairs of your own task",
    )


def main(args: argparse.Namespace) -> int:
    from sparsetx.circuits.circuit import JSON
    from sparsetx.run import CONFIG
    from sparsetx.system import files
    from sparsetx.system.errors import Refusal, refuse_all

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
        [
            f"{name} {x} does not apply to it"
            for name, x in others.items()
            if x is not None
        ],
    )
    return of_circuit(args) if circuit else of_run(args)


def of_run(args: argparse.Namespace) -> int:
    from sparsetx.cli.train import settings
    from sparsetx.projection import density
    from sparsetx.run import ENVIRONMENT, checkpoints, load_run
    from sparsetx.system import files

    run = load_run(args.path, args.step)
    saved = checkpoints.steps(run.path)
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
    """Nonzero entries of each parameter and layer, in all and per neuron."""
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
    from sparsetx.circuits import circuit
    from sparsetx.circuits.explain import activations, explanation
    from sparsetx.circuits.facts import REACHED
    from sparsetx.circuits.search import pools
    from sparsetx.system.errors import Refusal

    most = NODES if args.nodes is None else args.nodes
    if most < 0:
        raise Refusal(f"--nodes {most}: wanted 0 or more")
    folder = circuit.folder_of(args.path)
    facts = circuit.load_facts(folder)
    print(f"{folder}: {facts.task}, {facts.search.kind}")
    if facts.status != REACHED:
        print(f"  {facts.status}: there is no circuit to show")
        return 0
    found = circuit.load_circuit(folder)
    asked = pools.again(folder, facts, args.task_file, count=explanation.PAIRS)
    pairs = pools.first_of(asked.pairs, explanation.PAIRS, found.config)
    sample = activations.of(found, pairs.tokens_BL, pairs.position_B)
    seen = explanation.of(found, pairs, sample, asked.tokenizer.token, edges=0)
    print(figures(found))
    print(f"\nHow it decides, on {len(pairs)} pairs of the test pool")
    print(paragraph(MEANINGS))
    for number, step in enumerate(seen.steps, 1):
        print(paragraph(f"{number}. {step.text}"))
    print("\n" + boxes(seen))
    if most:
        print("\n" + listed(seen, most))
    return 0


def boxes(seen: "Explanation") -> str:
    """The groups of nodes, as a table."""
    lines = [
        f"The {len(seen.graph.nodes)} nodes in {len(seen.groups.boxes)} groups: nodes, "
        "weights from and to other groups",
        "(absolute sums), the largest interchange effect of a node; and what it is",
    ]
    for box in seen.groups.boxes:
        moved = box.interchange
        effect = "" if moved is None else f"{round(moved, 2) + 0.0:.0%}"
        lines.append(
            f"  {len(box.nodes):>4} {box.incoming:8.2f} {box.outgoing:8.2f} "
            f"{effect:>5}  {box.name}"
        )
    return "\n".join(lines)


def figures(found: "Circuit") -> str:
    """A circuit's size, losses and accuracy, and the ablations under which it holds."""
    from sparsetx.circuits.facts import ladder_line

    size, test = found.facts.size, found.facts.test

    def told(name: str, value: float | None) -> str:
        return f"{name} {'-' if value is None else f'{value:.3f}'}"

    return (
        f"  {size.edges:,} edges, {size.edges_plus:,} with constants, "
        f"{size.nodes:,} nodes ({size.pairs:,} node pairs)\n"
        f"  on test prompts: {told('loss', test.mean)}, {told('H', test.H)}, "
        f"{told('right', test.accuracy)}, "
        f"{told('with distractors', test.distractor_accuracy)}\n"
        f"  with other nodes as on other prompts: "
        f"{told('right', test.together_accuracy)} (together), "
        f"{told('right', test.apart_accuracy)} (apart)\n"
        f"  holds under: {ladder_line(found.facts)}" + _by_template(test.templates)
    )


def _by_template(worst: Sequence[float]) -> str:
    """F on the prompts of each template; nothing where it was not measured."""
    if not worst:
        return ""
    return f"\n  F on each template: {', '.join(f'{x:.3f}' for x in worst)}"


def listed(seen: "Explanation", most: int) -> str:
    """The nodes of the largest ablation costs, with effects and descriptions."""
    order = sorted(seen.graph.nodes, key=lambda node: -abs(node.cost or 0))
    lines = [
        f"The {min(most, len(order))} nodes of {len(order)} with the largest ablation "
        "costs: node, ablation cost (nats),",
        "direct effect on the right answer (nats of logit), interchange effect; and "
        "what it does",
    ]
    for node in order[:most]:
        direct = "" if node.direct is None else f"{node.direct:+.2f}"
        moved = node.interchange
        effect = "" if moved is None else f"{round(moved, 2) + 0.0:.0%}"
        lines.append(f"  {node.name:<18} {node.cost:+7.3f} {direct:>7} {effect:>5}")
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
