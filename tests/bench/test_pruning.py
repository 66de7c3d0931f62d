"""Masks side by side against one after another, at their smallest."""

import jax
import pytest

from sparsetx.bench import opponent, pruning, training
from sparsetx.bench.timing import Asked
from tests.bench import test_training


@pytest.mark.slow
def test_each_way_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "base", lambda: test_training.SMALL)
    monkeypatch.setattr(opponent, "python", lambda: None)
    small = {"LANES": 2, "STEPS": 1, "PAIRS": 1, "LENGTH": 8, "POOL": 2, "TASKS": 2}
    for name, value in (small | {"SETTINGS": 1}).items():
        monkeypatch.setattr(pruning, name, value)
    # Then most rows share a program: fewer compilations.
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    rows = list(pruning.run(Asked(rounds=1)))
    names = [row.name for row in rows]
    assert names[:3] == ["as prune runs them", "one by one", "all in one vmap"]
    assert rows[0].ratio == 1
    assert all(row.note.endswith(" ms per mask step") for row in rows[:3])
    assert names[3].startswith("2 tasks x 1 settings")


def test_the_opponent_is_told_the_same() -> None:
    told = pruning.as_settings(training.base().model)
    assert told["size"]["context"] == pruning.LENGTH
    assert set(told["settings"]) == set(pruning.SHARED)
