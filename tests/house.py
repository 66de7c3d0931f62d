"""The shape of the house: which file may import which, how long anything may be.

`python -m tests.house` prints the table and fails where a rule is broken.
"""

import ast
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sparsetx"

# A room imports only from rooms above it, never sideways or down. A folder is one room
# whose files may import each other, unless they are listed on their own.
ROOMS = [
    "errors", "fields", "config", "signals", "heap", "bucket", "files", "lock",
    "schedules", "tokenizer", "metrics", "nodes", "parameters", "topk", "mesh",
    "runtime", "taps", "block", "model", "minimum", "projection", "density", "optim",
    "data", "tasks", "checkpoint", "openai_config", "openai_format", "train", "fit",
    "run", "provenance", "launch", "evaluate", "importing", "circuits",
    "circuits.question", "circuits.ablate", "circuits.edges", "circuits.reach",
    "circuits.effective", "circuits.calibrate", "circuits.search", "circuits.lanes",
    "circuits.judge", "circuits.discretise", "circuits.attribution", "circuits.shuffle",
    "circuits.prune", "circuits.facts", "circuits.circuit", "circuits.pools",
    "circuits.assess", "circuits.means", "circuits.cut", "circuits.job",
    "circuits.summary", "circuits.arrays", "circuits.specimen", "circuits.swap",
    "circuits.effects", "circuits.parts", "circuits.routes", "circuits.text",
    "circuits.drive", "circuits.watch",
    "circuits.prose", "circuits.describe", "circuits.graph", "circuits.account",
    "circuits.portrait", "circuits.controls", "circuits.binarise",
    "circuits.replay", "circuits.choices", "circuits.fold", "circuits.rivals",
    "circuits.statements", "circuits.answers", "circuits.lexicon", "circuits.listing",
    "circuits.decompile", "circuits.prompts",
    "circuits.report", "verify", "bridges", "aot", "bench", "plots", "circuit_plots",
    "cli", "__main__",
]  # fmt: skip
FORBIDDEN = [  # (who, what): laws that the order alone does not state
    ("model", "circuits"),
    ("train", "circuits"),
    ("circuits", "train"),
]
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


def sources(folder: Path = PACKAGE) -> list[Source]:
    return [
        Source(path, text, ast.parse(text))
        for path in sorted(folder.rglob("*.py"))
        for text in [path.read_text()]
    ]


def room(module: str) -> str:
    """The room a module belongs to: its longest listed prefix below the package."""
    name = module.removeprefix("sparsetx").removeprefix(".")
    fitting = [r for r in ROOMS if name == r or name.startswith(r + ".")]
    return max(fitting, key=len, default=name)


def imports(source: Source, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & modules) or {node.module}
    return {name for name in found if name.split(".")[0] == "sparsetx"}


def broken_imports() -> list[str]:
    files = sources()
    modules = {source.module for source in files}
    found = []
    for source in files:
        here = room(source.module)
        if source.module == "sparsetx":
            continue  # the package's front door imports lazily from anywhere
        if here not in ROOMS:
            found.append(f"{source.module} is in no room: add it to ROOMS")
            continue
        for name in sorted(imports(source, modules) - {"sparsetx"}):
            there = room(name)
            if there != here and ROOMS.index(there) >= ROOMS.index(here):
                found.append(f"{source.module} imports {name}, which is not above it")
            for who, what in FORBIDDEN:
                if here.split(".")[0] == who and there.split(".")[0] == what:
                    found.append(f"{source.module} imports {name}: {who} never may")
    return found


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
    """Lines that are not blank and not inside a long text: templates of tasks, words of
    the lexicon and docstrings are read, not run."""
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


def _height(module: str) -> int:
    return ROOMS.index(room(module)) if room(module) in ROOMS else -1


def report() -> str:
    files = sources()
    lengths = sorted(
        (source.lines for source in files if source.lines > 1), reverse=True
    )
    longest = sorted(itertools.chain(*map(functions, files)), reverse=True)
    modules = {source.module for source in files}
    out = [f"{source.lines:5}  {source.module}" for source in files]
    out.append(
        f"\n{sum(lengths)} lines in {len(lengths)} files, "
        f"median {lengths[len(lengths) // 2]}, longest {lengths[0]}"
    )
    out.append(f"longest function: {longest[0][1]}, {longest[0][0]} lines")
    within = sum(length <= LONGEST_FUNCTION for length, _ in longest)
    out.append(f"functions within {LONGEST_FUNCTION} lines: {within} of {len(longest)}")
    out.append(f"lines of test code per line of code: {test_ratio():.2f}\n")
    for source in sorted(files, key=lambda s: _height(s.module)):
        inner = sorted(imports(source, modules) - {"sparsetx"})
        names = [name.removeprefix("sparsetx.") for name in inner]
        if names:
            out.append(
                f"{source.module.removeprefix('sparsetx.')} <- {', '.join(names)}"
            )
    return "\n".join(out)


if __name__ == "__main__":
    print(report())
    problems = broken_imports()
    print("\n".join(problems))
    sys.exit(bool(problems))
