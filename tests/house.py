"""Rules for the code's layout: which folder may import which, and maximum lengths.

`python -m tests.house` prints the lengths and imports, and fails if a rule is broken.
"""

import ast
import functools
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sparsetx"

# {room: the rooms that it may import}. A room is a folder of the package or a file at
# its top; the folders of circuits/ are rooms too. A room is listed after all that it
# may import.
LAW = {
    "system": "",
    "config": "system",
    "nodes": "system config",
    "topk": "system",
    "taps": "system nodes",
    "model": "system config nodes topk taps",
    "projection": "config topk model",
    "openai_format": "system config nodes model",
    "data": "system config",
    "tasks": "system data",
    "run": "system config nodes taps model openai_format data tasks",
    "training": "system config nodes taps model projection data tasks run",
    "circuits.measure": "system config nodes taps model data tasks run",
    "circuits": "system config nodes model data tasks run circuits.measure",
    "circuits.search": "system config nodes taps model data tasks run circuits.measure "
    "circuits",
    "circuits.explain": "config nodes taps model tasks run circuits.measure circuits",
    "circuits.program": "system config nodes model tasks circuits.measure circuits "
    "circuits.explain",
    "circuits.controls": "system config nodes taps model tasks run circuits.measure "
    "circuits circuits.search",
    "circuits.report": "system config nodes taps model data tasks run circuits.measure "
    "circuits circuits.search circuits.explain",
    "aot": "*",
    "bench": "*",
    "plots": "system nodes run circuits circuits.explain circuits.controls",
    "study": "*",
    "cli": "*",  # all above: each command imports what it needs
}
LONGEST_FILE = 400
LONGEST_FUNCTION = 45
LEAST_TEST_RATIO = 0.6


@dataclass(frozen=True)
class Source:
    """One Python file of the package, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def lines(self) -> int:
        return self.text.count("\n")


@functools.cache
def sources(folder: Path = PACKAGE) -> list[Source]:
    return [
        Source(path, text, ast.parse(text))
        for path in sorted(folder.rglob("*.py"))
        for text in [path.read_text()]
    ]


def room(module: str) -> str:
    """The room of a module: the longest prefix of its name that LAW lists."""
    name = module.removeprefix("sparsetx").removeprefix(".")
    fitting = [r for r in LAW if name == r or name.startswith(r + ".")]
    return max(fitting, key=len, default=name)


def allowed(here: str) -> set[str]:
    """The rooms that a room may import, and itself."""
    rooms = list(LAW)
    above = rooms[: rooms.index(here) + 1]
    return {*above} if LAW[here] == "*" else {*LAW[here].split(), here}


def imports(source: Source, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & modules) or {node.module}
    return {name for name in found if name.split(".")[0] == "sparsetx"}


def broken_law() -> list[str]:
    """Errors of LAW itself: a room may only name rooms that are listed before it."""
    rooms = list(LAW)
    return [
        f"{here} may not be allowed {there}: LAW must list {there} before it"
        for i, here in enumerate(rooms)
        for there in LAW[here].replace("*", "").split()
        if there not in rooms[:i]
    ]


def broken_imports() -> list[str]:
    """Imports that LAW does not allow, and modules that belong to no room."""
    files = sources()
    modules = {source.module for source in files}
    found = []
    for source in files:
        here = room(source.module)
        if source.module in ("sparsetx", "sparsetx.__main__"):
            continue  # the package's public names are imported lazily from anywhere
        if here not in LAW:
            found.append(f"{source.module} is in no room: move it, or add one to LAW")
            continue
        for name in sorted(imports(source, modules) - {"sparsetx"}):
            if room(name) not in allowed(here):
                found.append(
                    f"{source.module} imports {name}, which is not allowed: the room "
                    f"{here} may import {LAW[here] or 'no other'}. Move what it needs "
                    "to one of these rooms, or pass it as an argument"
                )
    return found


# Folders that may hold more files: they hold one file per item of a list.
LISTS = ("cli", "circuits/controls", "tasks/families", "data/grammar")
MOST_AT_TOP, MOST_IN_A_FOLDER = 20, 12


def entries() -> dict[str, int]:
    """How many files and folders each folder of the package holds."""
    found = {}
    for folder in sorted([PACKAGE, *(p for p in PACKAGE.rglob("*") if p.is_dir())]):
        inside = [p for p in folder.iterdir() if p.name != "__pycache__"]
        if inside and folder.name != "__pycache__":
            found[folder.relative_to(PACKAGE).as_posix()] = len(inside)
    return found


def crowded() -> list[str]:
    """Folders with too many entries."""
    return [
        f"{name}: {count} entries; divide it, or join related files"
        for name, count in entries().items()
        if name not in LISTS and not name.endswith("/js")
        if count > (MOST_AT_TOP if name == "." else MOST_IN_A_FOLDER)
    ]


def functions(source: Source) -> list[tuple[int, str]]:
    """(lines, qualified name) of every function."""
    return [
        ((node.end_lineno or 0) - node.lineno + 1, f"{source.module}.{node.name}")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def calls(source: Source) -> list[tuple[int, str, str]]:
    """(line, owner, name) of every call: `files.write_json(…)`, and '' for print(…)."""
    found = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            found.append((node.lineno, "", node.func.id))
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else "?"
            found.append((node.lineno, name, node.func.attr))
    return found


def opens_for_writing(call: ast.Call) -> bool:
    """open(path, "w"), path.open(mode="a") and the like."""
    name = call.func
    called = name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")
    modes = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    texts = [str(m.value) for m in modes if isinstance(m, ast.Constant)]
    return called == "open" and any(len(t) < 4 and set(t) & set("wax+") for t in texts)


def code_lines(source: Source) -> int:
    """Lines that are not blank and not inside a multi-line string, such as templates of
    tasks, word lists and docstrings."""
    inside: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inside |= set(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    lines = enumerate(source.text.splitlines(), 1)
    return sum(bool(line.strip()) and number not in inside for number, line in lines)


def test_ratio() -> float:
    """Lines of test code per line of source code."""
    ours = sum(map(code_lines, sources()))
    return sum(map(code_lines, sources(ROOT / "tests"))) / ours


def report() -> str:
    files = sources()
    lengths = sorted(
        (source.lines for source in files if source.lines > 1), reverse=True
    )
    longest = sorted(itertools.chain(*map(functions, files)), reverse=True)
    out = [f"{source.lines:5}  {source.module}" for source in files]
    out.append(
        f"\n{sum(lengths)} lines in {len(lengths)} files, "
        f"median {lengths[len(lengths) // 2]}, longest {lengths[0]}"
    )
    out.append(f"longest function: {longest[0][1]}, {longest[0][0]} lines")
    within = sum(length <= LONGEST_FUNCTION for length, _ in longest)
    out.append(f"functions within {LONGEST_FUNCTION} lines: {within} of {len(longest)}")
    out.append(f"lines of test code per line of code: {test_ratio():.2f}\n")
    out += [f"{count:5}  {name}/" for name, count in entries().items()]
    out.append("")
    out += [f"{here:<18} <- {LAW[here] or 'nothing'}" for here in LAW]
    return "\n".join(out)


if __name__ == "__main__":
    print(report())
    problems = broken_law() + broken_imports() + crowded()
    print("\n".join(problems))
    sys.exit(bool(problems))
