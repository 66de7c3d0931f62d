"""`verify`: an undamaged run passes, and every kind of damage is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsetx.circuits.controls.verification import circuits
from sparsetx.cli.main import main
from sparsetx.run import verification
from tests import runs
from tests.cli.test_prune import cut


def flipped(path: Path, place: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.write_bytes(bytes(data))


def arrays(run: Path) -> Path:
    folder = run / "checkpoints" / "12" / "state" / "d"
    return max(folder.iterdir(), key=lambda p: p.stat().st_size)


def doubled(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([*lines, lines[-1], "torn", ""]))


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a flipped bit": (lambda r: flipped(arrays(r)), "checkpoints/12", ""),
    "no facts": (
        lambda r: shutil.rmtree(r / "checkpoints" / "8" / "facts"),
        "checkpoints/8",
        "",
    ),
    "an empty step": (
        lambda r: (r / "checkpoints" / "99").mkdir(),
        "checkpoints/99",
        "",
    ),
    "the tokenizer": (
        lambda r: (r / "tokenizer.json").write_text("{}"),
        "tokenizer.json",
        "",
    ),
    "rows": (
        doubled,
        "metrics.jsonl",
        "1 lines are not rows; a second row for step 12",
    ),
    "the environment": (
        lambda r: (r / "environment.json").write_text("{"),
        "environment.json",
        "not JSON",
    ),
}


def test_a_whole_run_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(runs.trained())]) == 0
    out = capsys.readouterr().out
    assert "checkpoints/12: 3.4 MB, every checksum is right" in out
    assert "metrics.jsonl: 8 rows" in out
    assert out.endswith("all is as it was written\n")


@pytest.mark.parametrize("damage", DAMAGES)
# Orbax's reading thread outlives the event loop that a broken file ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_each_damage_is_found_and_nothing_else(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs.copied(tmp_path)
    act, name, told = DAMAGES[damage]
    act(run)
    damaged = [found for found in verification.run(run) if not found.whole]
    assert [found.name for found in damaged] == [name]
    assert told in damaged[0].told
    assert main(["verify", str(run)]) == 1
    assert f"DAMAGED  {name}: " in capsys.readouterr().out


def test_circuits_are_read_too(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.once("handmade", cut) / "run", run)
    names = [found.name for found in circuits(run) if found.whole]
    assert "circuits/quotes" in names
    assert "circuits/quotes/plain" in names
    flipped(run / "circuits" / "quotes" / "circuit.npz", 200)
    facts = json.loads(
        (run / "circuits" / "quotes" / "plain" / "circuit.json").read_text()
    )
    facts["nodes"][0] = "q/77/0"
    (run / "circuits" / "quotes" / "plain" / "circuit.json").write_text(
        json.dumps(facts)
    )
    damaged = [found.name for found in circuits(run) if not found.whole]
    assert damaged == ["circuits/quotes", "circuits/quotes/plain"]
