"""Documents stay true: their code is run, their commands are parsed, their paths exist.

Python blocks run on small runs that tests share; lines of shell are read by the real
argument parsers and held against the Makefile. What is neither is named in NOT_RUN.
"""

import argparse
import functools
import importlib
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sparsetx.cli import experiment
from sparsetx.cli import main as command_line
from sparsetx.tasks import task_file
from tests import runs
from tests.circuits import known
from tests.house import PACKAGE, ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "experiments/README.md",
    "tpu/README.md",
    "sparsetx/circuits/report/GLOSSARY.md",
)
README_LINES = 170
NOT_RUN = {  # the first line of a block: why it is neither run nor parsed
    "from sparsetx import openai_format": "needs torch: make test-torch does the same",
    "runs/tiny/ config.json environment.json tokenizer.json metrics.jsonl "
    "checkpoints/STEP/": "a listing",
    "runs/demo/circuits/TASK/ circuit.json circuit.npz controls.json "
    "plain/… faithful/…": "a listing",
    "~/.sparsetx/ code -> commits/HASH   venv   python   data/   xla/   "
    "unit/{pid,log,code,words}": "a listing",
    "FROM python:3.11-slim": "a Dockerfile, which needs docker",
}


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]


def read(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE)
    return [Block(page, language, text) for language, text in found]


def prose(page: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


def spans(page: str) -> list[str]:
    """Code inside of sentences, on one line each."""
    return [" ".join(x.split()) for x in re.findall(r"`([^`]+)`", prose(page))]


def shell_lines(page: str) -> Iterator[str]:
    """Lines of shell blocks, and commands inside of sentences."""
    for block in blocks(page):
        if not block.language and block.first not in NOT_RUN:
            yield from block.text.splitlines()
    for text in spans(page):
        if (
            text.split()[0] in {"make", "sparsetx"}
            and text != "sparsetx COMMAND --help"
        ):
            yield text


# --- code ---------------------------------------------------------------------------


def known_folder() -> Path:
    """A run whose circuit was made by hand, and the file of its task."""
    return runs.once("known", lambda folder: known.made(folder) and None)


STANDS_FOR: dict[str, Callable[[], str]] = {  # what tests have, for what a reader has
    '"runs/tiny"': lambda: repr(str(runs.trained())),
    '"runs/demo/circuits/single_double_quote"': lambda: repr(
        str(known.cut(known_folder() / "run").folder)
    ),
    '"data/tinypython-2048/tokenizer.json"': lambda: repr(
        str(runs.trained() / "tokenizer.json")
    ),
    # A tokenizer of 512 tokens has not all names of that task.
    '"var_swap"': lambda: '"single_double_quote"',
    "n=512": lambda: "n=8",
}


def replaced(text: str) -> str:
    for old, new in STANDS_FOR.items():
        text = text.replace(old, new()) if old in text else text
    assert '"runs/' not in text
    assert '"data/' not in text
    return text


@pytest.mark.parametrize("page", PAGES)
def test_python_runs(page: str) -> None:
    """The blocks of a page one after the other, as a reader would run them. What a
    comment says of a shape is so."""
    space: dict[str, Any] = {}
    for block in blocks(page):
        if block.language == "python" and block.first not in NOT_RUN:
            exec(compile(replaced(block.text), page, "exec"), space)
    if page == "README.md":
        assert space["taken"]["mlp_neuron"].shape == (2, 1, 16, 256)
    if page == "experiments/README.md":
        assert space["circuit"].nodes
        assert len(space["pairs"].tokens_BL) == 16


def test_json_is_a_line_of_a_task_file() -> None:
    (found,) = (b for page in PAGES for b in blocks(page) if b.language == "json")
    assert tuple(json.loads(found.text)) == task_file.KEYS


def test_every_block_is_checked_or_named() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    assert {block.language for block in every} == {"", "python", "json"}
    assert NOT_RUN.keys() <= {block.first for block in every}
    words = {
        first_word(line) for page in PAGES for line in shell_lines(page) if line.strip()
    }
    assert words - {""} == set(CHECKS)


# --- shell --------------------------------------------------------------------------


def bare(line: str) -> list[str]:
    """The words of a line, without its comment."""
    return shlex.split(line, comments=True)


def first_word(line: str) -> str:
    words = bare(line)
    return words[0].rpartition("/")[2] if words else ""


def sparsetx(words: list[str], page: str) -> None:
    """Its command exists and takes these arguments; experiments take these settings."""
    command, *rest = words[1:]
    module = importlib.import_module(command_line.COMMANDS[command])
    parser = argparse.ArgumentParser(prog=command, exit_on_error=False)
    module.arguments(parser)
    try:
        args = command_line._parsed(parser, rest)
    except SystemExit as end:
        pytest.fail(f"{page}: {shlex.join(words)}: {end}")
    if command == "study":
        experiment.load_study(str(ROOT / args.study))
    path = getattr(args, "experiment", None)
    if path is not None:
        experiment.load(str(ROOT / path), getattr(args, "overrides", None) or ())


@functools.cache
def targets() -> set[str]:
    return set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def make(words: list[str], page: str) -> None:
    """Its targets are in the Makefile, and its variables somewhere."""
    known_names = (ROOT / "Makefile").read_text() + read("tpu/README.md")
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        if equals:
            assert re.search(rf"\b{name}\b", known_names), f"{page}: {word}"
        else:
            assert word in targets(), f"{page}: make {word}"


def export(words: list[str], page: str) -> None:
    """Something of tpu/ reads these variables."""
    scripts = "".join(path.read_text() for path in (ROOT / "tpu").glob("*.sh"))
    for word in words[1:]:
        assert word.partition("=")[0] in scripts, f"{page}: {word}"


def python(words: list[str], page: str) -> None:
    """A module of ours, or a program that the block has just written."""
    if words[1] == "-m":
        assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file(), f"{page}: {words}"
    else:
        assert f"-o {words[1]}" in read(page), f"{page}: {words}"


def source(words: list[str], page: str) -> None:
    """The environment that make install makes."""
    assert words[1:] == [".venv/bin/activate"], page
    assert "VENV := .venv\n" in (ROOT / "Makefile").read_text()


def git(words: list[str], page: str) -> None:
    """Not run: it would need a network."""
    assert words[:2] == ["git", "clone"], page


CHECKS = {
    check.__name__: check for check in (sparsetx, make, export, python, source, git)
}


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page: str) -> None:
    for line in shell_lines(page):
        for part in line.split("&&"):
            words = bare(part)
            if words and words[0] != "cd":
                CHECKS[first_word(part)](words, page)


def test_a_wrong_command_is_found() -> None:
    with pytest.raises((argparse.ArgumentError, pytest.fail.Exception)):
        sparsetx(["sparsetx", "prune", "runs/demo", "--no-such-option"], "here")
    with pytest.raises(KeyError):
        sparsetx(["sparsetx", "trian"], "here")
    with pytest.raises(AssertionError, match="tpu-nothing"):
        make(["make", "tpu-nothing"], "here")


# --- paths, links, names --------------------------------------------------------------

OURS = re.compile(
    r"(?<![\w./:-])((?:sparsetx|tests|tpu|experiments|\.ci)/[\w./-]*[\w/])"
)
FILE = re.compile(r"[\w./-]+\.(?:py|sh|md|tsv|txt|yaml|ipynb|cfg|toml)")


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Those that begin with a folder of ours anywhere; names of files in sentences."""
    for path in OURS.findall(read(page)):
        assert (ROOT / path).exists(), f"{page}: {path}"
    for text in spans(page):
        if FILE.fullmatch(text):
            places = (ROOT, (ROOT / page).parent, PACKAGE)
            assert any((place / text).is_file() for place in places), f"{page}: {text}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not link.startswith(("http:", "https:")):
            path, _, anchor = link.partition("#")
            assert ((ROOT / page).parent / path).exists(), f"{page}: {link}"
            assert not anchor, f"{page}: {link}: anchors are not checked"


@pytest.mark.parametrize("page", PAGES)
def test_names_of_the_package_exist(page: str) -> None:
    for name in {
        n for t in spans(page) for n in re.findall(r"\bsparsetx(?:\.\w+)+", t)
    }:
        found = importlib.import_module("sparsetx")
        for part in name.split(".")[1:]:
            assert hasattr(found, part), f"{page}: {name}"
            found = getattr(found, part)


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= README_LINES


def test_its_picture_is_small() -> None:
    assert (ROOT / "experiments/results/quote-circuit.png").stat().st_size < 300_000
