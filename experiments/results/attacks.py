"""Prompts that ought to fool an algorithm: how often do they, the model and its circuits?

    python experiments/results/attacks.py RUN

The paper predicts how its bracket circuit fails: it averages, so long lists dilute what
it averages, and brackets that are no syntax count too. Here each attack changes the
prompts of a task's test pool in one such way, and the table has the part of prompts that
the model and each of its circuits then answer rightly, in brackets how much it changed
for the same prompts. An answer stays right: what is added changes nothing about it.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparsetx import load_circuit, load_run
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.facts import KINDS, REACHED
from sparsetx.circuits.report import runs_and_circuits
from sparsetx.run import Run
from sparsetx.system.errors import Refusal
from sparsetx.tasks import table
from sparsetx.tasks.pairs import Pairs, Sieve, pack
from sparsetx.tasks.template import Draft, Side

PAIRS = 256
Change = Callable[[str], str]


def line(text: str) -> Change:
    """A line before the last one, as deep as it."""

    def change(prompt: str) -> str:
        before, _, last = prompt.rpartition("\n")
        deep = last[: len(last) - len(last.lstrip())]
        return f"{before}\n{deep}{text}\n{last}" if before else f"{text}\n{last}"

    return change


def more_items(count: int) -> Change:
    """A list that is open at the end goes on."""

    def change(prompt: str) -> str:
        items = (str(7 * n % 90 + 3) for n in range(1, count + 1))
        return ", ".join([prompt, *items])

    return change


ATTACKS: Mapping[str, Mapping[str, Change]] = {
    "single_double_quote": {
        "`# don't stop` before": line("# don't stop"),
        '`# 5" wide` before': line('# 5" wide'),
        "`# don't` and `# it's` before": lambda p: line("# don't")(line("# it's")(p)),
    },
    "bracket_counting": {
        "`# rows of [` before": line("# rows of ["),
        "`# rows of [[[` before": line("# rows of [[["),
        "`# no ]` before": line("# no ]"),
        "4 more items": more_items(4),
        "8 more items": more_items(8),
        "16 more items": more_items(16),
    },
    "set_or_string_fixedvarname": {
        '`# current = ""` before': line('# current = ""'),
        "`# current = set()` before": line("# current = set()"),
        "`f = lambda current: current * 2` before": line(
            "f = lambda current: current * 2"
        ),
        "`print(current)` before": line("print(current)"),
    },
}


def attacked(run: Run, pairs: Pairs, change: Change) -> tuple[Pairs, Pairs]:
    """Of the pairs that fit the context with every prompt changed: before and after."""
    sieve = Sieve(run.tokenizer, run.config.model.context, False, pairs.one_token)
    found = [
        (draft, row) for draft in pairs.drafts for row in sieve(changed(draft, change))
    ]
    if not found:
        raise Refusal(f"no prompt of {pairs.task} fits the context with this attack")
    as_they_are = Sieve(sieve.tokenizer, sieve.context, False, sieve.one_token)
    eot = int(pairs.tokens_BL[0, 0])
    both = [
        [row for draft, _ in found for row in as_they_are(draft)],
        [row for _, row in found],
    ]
    before, after = (
        pack(pairs.task, pairs.split, rows, eot, pairs.one_token) for rows in both
    )
    return before, after


def changed(draft: Draft, change: Change) -> Draft:
    def side(own: Side) -> Side:
        return replace(own, prompt=change(own.prompt))

    return replace(draft, a=side(draft.a), b=side(draft.b))


def right(circuit: Circuit, pairs: Pairs) -> float:
    given = pairs.tokens_BL, pairs.position_B, pairs.answers_B2
    margin_B = np.subtract(*circuit.answer_logits(*given).T)
    return float((pairs.sign_B * margin_B > 0).mean())


def rows(run: Run, task: str) -> Iterator[str]:
    config = run.config.model
    pairs = table.task_pairs(
        task, run.tokenizer, "test", PAIRS, 0, context=config.context
    )
    (subject,) = runs_and_circuits.subjects([str(run.path)])[:1]
    cuts = [(kind, subject.find(task, kind)) for kind in KINDS]
    circuits = {
        kind: load_circuit(cut.folder)
        for kind, cut in cuts
        if cut and cut.facts.status == REACHED
    }
    yield f"| {task} | prompts | {' | '.join(['whole model', *circuits])} |"
    yield "|---" * (3 + len(circuits)) + "|"

    def whole(pairs: Pairs) -> float:
        return run.score(pairs).accuracy

    for name, change in {"as they are": str, **ATTACKS[task]}.items():
        before, after = attacked(run, pairs, change)
        cells = []
        for of in (whole, *(functools.partial(right, c) for c in circuits.values())):
            was, now = of(before), of(after)
            cells.append(f"{100 * now:.1f} % ({100 * (now - was):+.1f})")
        yield f"| {name} | {2 * len(after)} | {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--tasks", default=",".join(ATTACKS))
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    if unknown := [task for task in tasks if task not in ATTACKS]:
        known = ", ".join(ATTACKS)
        parser.error(f"no attacks on {', '.join(unknown)}: there are some on {known}")
    try:
        run = load_run(args.run)
        for task in tasks:
            print("\n".join(rows(run, task)), end="\n\n", flush=True)
    except (Refusal, OSError) as error:
        print(f"attacks.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
