"""`sparsetx doctor`: passing and failing checks."""

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsetx.cli import doctor
from sparsetx.cli import main as cli


def test_this_machine_can_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["doctor", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    for what in ("Python", "jax", "flax", "devices", "memory", "disk", "8 x cpu"):
        assert what in out
    assert code == int("BAD" in out)


def test_a_missing_package_and_a_wrong_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "optax":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "chex" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    bad = [i for i, line in enumerate(lines) if line.startswith("BAD")]
    assert [lines[i].split()[1] for i in bad] == ["optax", "chex"]
    assert "make install" in lines[bad[0] + 1]
    assert "wanted <0.2,>=0.1.91: make clean install" in lines[bad[1] + 1]


def test_optional_packages_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = {f.what: f for f in doctor._packages()}
    assert found["torch"].ok
    assert "optional: sparsetx[torch]" in found["torch"].found
    assert not found["jax"].ok


@pytest.mark.parametrize(
    ("free", "ok"), [(1 * doctor.GIB, False), (3 * doctor.GIB, True)]
)
def test_disk(monkeypatch: pytest.MonkeyPatch, free: int, ok: bool) -> None:
    usage: Any = lambda folder: SimpleNamespace(free=free)  # noqa: E731
    monkeypatch.setattr(doctor.shutil, "disk_usage", usage)
    assert doctor._disk(".").ok is ok


def test_devices_that_fail_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    def broken() -> Any:
        raise RuntimeError("no driver")

    monkeypatch.setattr(jax, "devices", broken)
    (found,) = doctor._devices()
    assert not found.ok
    assert "no driver" in found.found
