"""XLA is asked for wide vector registers where the CPU has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsetx.system.cpu import vectors


def cpus(tmp_path: Path, flags: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n")
    return path


@pytest.mark.parametrize(
    ("flags", "before", "after"),
    [
        ("avx2 avx512f", "", "--xla_cpu_prefer_vector_width=512"),
        ("avx512f", "--a=1", "--a=1 --xla_cpu_prefer_vector_width=512"),
        ("avx2", "--a=1", "--a=1"),
        (
            "avx512f",
            "--xla_cpu_prefer_vector_width=128",
            "--xla_cpu_prefer_vector_width=128",
        ),
    ],
)
def test_it_is_asked_for_where_it_is_there_and_the_user_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: str,
    before: str,
    after: str,
) -> None:
    monkeypatch.setenv(vectors.FLAGS, before)
    assert vectors.widen(cpus(tmp_path, flags)) == (before != after)
    assert os.environ[vectors.FLAGS] == after


def test_another_system_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(vectors.FLAGS, "")
    assert not vectors.widen(tmp_path / "nothing")
    assert os.environ[vectors.FLAGS] == ""


def test_jaxlib_knows_the_option() -> None:
    """An option that it does not know ends the process."""
    code = "import jax; print(jax.devices()[0].platform)"
    environment = {**os.environ, vectors.FLAGS: f"{vectors.OPTION}=512"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == "cpu"
