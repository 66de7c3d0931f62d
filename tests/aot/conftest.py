"""Leave this folder out unless it is named: it needs the TPU's compiler, in a venv of
its own, and minutes. What is compiled is kept (.cache/aot)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(a.partition("::")[0]).absolute() for a in config.args)
    return None if any(p.is_relative_to(HERE) for p in named) else True
