"""Skip this folder unless it is named: its tests need the TPU's compiler, which is in
a separate venv, and take minutes. Compiled programs are cached (.cache/aot)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(a.partition("::")[0]).absolute() for a in config.args)
    return None if any(p.is_relative_to(HERE) for p in named) else True
