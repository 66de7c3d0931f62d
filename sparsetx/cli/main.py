"""The `sparsetx` command line: finds the command, runs it, returns its exit code.

Each command is a module of this package with a docstring (its --help text),
`arguments(parser)` and `main(args) -> exit code`. Only the module of the command that
is called is imported, so that `sparsetx --help` is fast. To add a command, add it to
COMMANDS and SUMMARY; to add an exit code, add it to EXIT_CODES.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import sparsetx
from sparsetx.system import signals
from sparsetx.system.cpu import malloc, vectors
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
    "export": "sparsetx.cli.export",
    "export-openai": "sparsetx.cli.export_openai",
    "generate": "sparsetx.cli.generate",
    "import-openai": "sparsetx.cli.import_openai",
    "inspect": "sparsetx.cli.inspect",
    "plot": "sparsetx.cli.plot",
    "prune": "sparsetx.cli.prune",
    "report": "sparsetx.cli.report",
    "study": "sparsetx.cli.study",
    "tasks": "sparsetx.cli.tasks",
    "train": "sparsetx.cli.train",
    "verify": "sparsetx.cli.verify",
}
SUMMARY = {
    "aot": "compile an experiment for a TPU, without one: memory, time, cost",
    "bench": "run benchmarks",
    "config": "print an experiment's resolved configuration, or how two differ",
    "controls": "test circuits with thirteen controls, each with a verdict",
    "data": "prepare tokens to train on: tinypython, Python's library, files, TFDS",
    "decompile": "write a circuit as a short Python program",
    "doctor": "check this machine: Python, packages, devices, memory, disk",
    "eval": "measure a run's validation loss, and its loss on each task",
    "export": "write a run to give away: nonzero weights and circuits",
    "export-openai": "save a run's model in the format of the released models",
    "generate": "generate text with a run's model",
    "import-openai": "make a run from a released model",
    "inspect": "show the kept weights of a run, or how a circuit decides",
    "plot": "plot metrics of runs, or circuits and their controls",
    "prune": "search a run's model for the circuits of tasks",
    "report": "write an HTML page about circuits",
    "study": "train and cut a grid of models: tables, and sizes against loss",
    "tasks": "list the tasks, show their prompts, check them with a tokenizer",
    "train": "train a model, or resume a run",
    "verify": "check all files of a run for damage",
}

# The exit codes of all commands; add new ones here. A command's `main` returns DONE,
# FAILED or its own; `main` below returns the others. tpu/babysit.sh starts a run again
# after 42.
DONE, FAILED, BAD_INPUT = 0, 1, 2
EXIT_CODES = {
    DONE: "done",
    FAILED: "failed, or a check found something wrong",
    BAD_INPUT: "bad input; the message says what was wanted",
    signals.AGAIN: "stopped by SIGTERM; run the same command again to resume",
    signals.INTERRUPTED: "stopped by Ctrl-C",
}


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="sparsetx",
        description="Weight-sparse transformers, and the circuits inside them.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<{width}}  {SUMMARY[name]}" for name in COMMANDS)
        + "\n\nsparsetx COMMAND --help explains each.\n\nexit codes:\n"
        + "\n".join(f"  {code:<{width}}  {EXIT_CODES[code]}" for code in EXIT_CODES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sparsetx {sparsetx.__version__}"
    )
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns one of EXIT_CODES. `args.stop`: whether to stop."""
    chosen = _top_parser().parse_args(argv)
    module = importlib.import_module(COMMANDS[chosen.command])
    parser = argparse.ArgumentParser(
        prog=f"sparsetx {chosen.command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(parser)
    # Orbax and others raise errors that concern the user; their logs only repeat them.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    # After a damaged checkpoint, asyncio logs the reading tasks that were abandoned.
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
        return BAD_INPUT
    except BrokenPipeError:  # the reader of the output ended, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # as a full disk, or a folder that was removed
        print(f"sparsetx {chosen.command}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"sparsetx {chosen.command}: stopped by Ctrl-C", file=sys.stderr)
        return signals.INTERRUPTED


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    """Silence what Orbax left running when a save or a reading failed: it is said once,
    by us, and its text may fill the pipe of a process that nobody reads."""
    code = getattr(what.object, "cr_code", None)
    abandoned = code is not None and "orbax" in Path(code.co_filename).parts
    if not abandoned and "Event loop is closed" not in str(what.exc_value):
        sys.__unraisablehook__(what)


def _parsed(parser: argparse.ArgumentParser, rest: list[str]) -> argparse.Namespace:
    """Parse options, also between key=value pairs; argparse raises TypeError at that if
    a command has subcommands."""
    try:
        return parser.parse_intermixed_args(rest)
    except TypeError:
        return parser.parse_args(rest)


def run() -> None:
    """The entry point of the console script."""
    sys.unraisablehook = _unraisable
    vectors.widen()
    if sys.argv[1:2] in (["train"], ["prune"]):
        malloc.keep()
    sys.exit(main())
