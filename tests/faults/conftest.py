"""Leave this folder out unless it is named: its tests start, and kill, processes. At
the end comes a table of what was done, and what became of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import case, hosts

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(a.partition("::")[0]).absolute() for a in config.args)
    return None if any(p.is_relative_to(HERE) for p in named) else True


@pytest.fixture(autouse=True)
def nothing_runs_on() -> Iterator[None]:
    yield
    hosts.kill_those_left()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if case.ROWS:
        terminalreporter.section("what was done, how long it took, what came of it")
        for line in case.table():
            terminalreporter.write_line(line)
