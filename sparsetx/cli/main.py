"""`sparsetx COMMAND …`: finds the command, runs it, turns its end into an exit code.

0 done; 1 failed; 2 bad input (one message); 42 told to stop, run me again; 130 Ctrl-C.
Each
command is a module of this package with HELP (a line), `arguments(parser)` and
`main(args) -> exit code`; it is imported only when it is the one asked for, so that
`sparsetx --help` answers at once.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

import sparsetx
from sparsetx.system import malloc, signals
from sparsetx.system.errors import Refusal

COMMANDS = {
    "aot": "sparsetx.cli.aot",
    "bench": "sparsetx.cli.bench",
    "config": "sparsetx.cli.config",
    "controls": "sparsetx.cli.controls",
    "data": "sparsetx.cli.data",
    "decompile": "sparsetx.cli.decompile",
    "doctor": "sparsetx.cli.doctor",
    "eval": "sparsetx.cli.eval",
    "export-openai": "sparsetx.cli.export_openai",
    "generate": "sparsetx.cli.generate",
    "import-openai": "sparsetx.cli.import_openai",
    "inspect": "sparsetx.cli.inspect",
    "plot": "sparsetx.cli.plot",
    "prune": "sparsetx.cli.prune",
    "report": "sparsetx.cli.report",
    "tasks": "sparsetx.cli.tasks",
    "train": "sparsetx.cli.train",
    "verify": "sparsetx.cli.verify",
}
SUMMARY = {
    "aot": "ask the TPU's compiler what an experiment needs, and what it costs",
    "bench": "time what was made for speed, side by side",
    "config": "print an experiment's resolved configuration, or how two differ",
    "controls": "doubt circuits: thirteen controls with their verdicts",
    "data": "prepare tokens: tinypython, the standard library, files, TFDS",
    "decompile": "write a circuit down as a short program",
    "doctor": "check this machine: Python, packages, devices, memory, disk",
    "eval": "validation loss of a run, and how well it does each task",
    "export-openai": "write a run's model as a released torch folder",
    "generate": "let a run's model write",
    "import-openai": "make a run of a released torch folder",
    "inspect": "what is kept of a run's matrices; how a circuit decides",
    "plot": "draw runs, or circuits and what their controls found",
    "prune": "cut the circuits of tasks out of a run",
    "report": "write a page about circuits",
    "tasks": "list the tasks, show their prompts, check them with a tokenizer",
    "train": "train a model, or go on with one",
    "verify": "read a run whole, and say whether anything in it is damaged",
}


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="sparsetx",
        description="Weight-sparse transformers, and the circuits inside them.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<{width}}  {SUMMARY[name]}" for name in COMMANDS)
        + "\n\nsparsetx COMMAND --help explains each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sparsetx {sparsetx.__version__}"
    )
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its `args.stop` says whether it is being told to stop."""
    chosen = _top_parser().parse_args(argv)
    module = importlib.import_module(COMMANDS[chosen.command])
    parser = argparse.ArgumentParser(
        prog=f"sparsetx {chosen.command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(parser)
    # Orbax and its like raise what concerns the user; they log it as well, and more.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    # Where a checkpoint is damaged, the tasks that were reading it end unasked.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        with signals.listening(parser.prog) as stop:
            args = _parsed(parser, chosen.rest)
            args.stop = stop
            code = int(module.main(args))
            sys.stdout.flush()
            return code
    except Refusal as refusal:
        print(f"sparsetx {chosen.command}: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads, as `| head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a disk that is full, a folder that went away
        print(f"sparsetx {chosen.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"sparsetx {chosen.command}: stopped by Ctrl-C", file=sys.stderr)
        return 130


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    """Threads of Orbax that outlive a save that failed have nothing to tell."""
    if "Event loop is closed" not in str(what.exc_value):
        sys.__unraisablehook__(what)


def _parsed(parser: argparse.ArgumentParser, rest: list[str]) -> argparse.Namespace:
    """Options may stand between key=value pairs; argparse allows it where no command
    has commands of its own."""
    try:
        return parser.parse_intermixed_args(rest)
    except TypeError:
        return parser.parse_args(rest)


def run() -> None:
    """The console script."""
    sys.unraisablehook = _unraisable
    if sys.argv[1:2] == ["train"]:  # one program for long; others compile many
        malloc.keep()
    sys.exit(main())
