"""Masks side by side against one after another, at their smallest."""

import jax
import pytest

from sparsetx.bench import pruning, training
from tests.bench import test_training


@pytest.mark.slow
def test_each_way_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "base", lambda: test_training.SMALL)
    small = {"LANES": 2, "STEPS": 1, "PAIRS": 1, "LENGTH": 8, "POOL": 2, "TASKS": 2}
    for name, value in (small | {"SETTINGS": 1}).items():
        monkeypatch.setattr(pruning, name, value)
    # Then the last row's program is the loop's: one compilation less.
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    rows = pruning.run(rounds=1)
    assert [row.name for row in rows[:2]] == ["a loop", "at once"]
    assert rows[0].ratio == 1
    assert rows[2].name.startswith("2 tasks x 1 settings")
    assert all(row.seconds > 0 for row in rows)
