"""Configuration and environment: recorded at each start, compared at the next."""

import dataclasses
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sparsetx
from sparsetx import run
from sparsetx.run import provenance
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal
from tests import runs

CONFIG = runs.config(Path("nowhere"))


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *words]
    subprocess.run(command, check=True, capture_output=True)


def test_the_state_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "__init__.py"
    module.touch()
    monkeypatch.setattr(sparsetx, "__file__", str(module))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("SPARSETX_COMMIT", raising=False)
    assert provenance.code_state() == "unknown"
    monkeypatch.setenv("SPARSETX_COMMIT", "0123abc")
    assert provenance.code_state() == "0123abc"
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    clean = provenance.code_state()
    assert len(clean) == 40
    module.write_text("changed")
    assert provenance.code_state() == f"{clean}-dirty"


def data(folder: Path, fingerprint: str = "f00d") -> Any:
    files.write_text(folder / "t.json", "{}")
    return SimpleNamespace(
        fingerprint=fingerprint, tokenizer_path=folder / "t.json", path=folder
    )


def test_every_start_is_written_down_beside_those_before(tmp_path: Path) -> None:
    path, prepared = tmp_path / "run", data(tmp_path)
    facts = provenance.facts(CONFIG, prepared)
    assert facts["versions"]["sparsetx"] == sparsetx.__version__
    assert provenance.data_fingerprint(path) is None
    for step in (0, 5):
        provenance.record(CONFIG, path, prepared, facts, step)
    starts = files.read_json(path / "environment.json", "it")["starts"]
    assert [s["step"] for s in starts] == [0, 5]
    assert (starts[0]["devices"], starts[0]["hosts"]) == ("8 x cpu", 1)
    assert run.load_config(path) == CONFIG
    assert (path / "tokenizer.json").read_text() == "{}"
    assert provenance.data_fingerprint(path) == "f00d"
    assert provenance.data_fingerprint(path, ["data"]) is None


@pytest.mark.parametrize(
    ("change", "allow", "refused"),
    [
        ("train.log_every=1", [], None),
        ("mesh.fsdp=2", [], None),
        ("data.path=elsewhere", [], None),
        ("data.tokens=7", [], "data.tokens: 20000 -> 7"),
        ("optim.lr=0.5", [], "optim.lr: 0.01 -> 0.5"),
        ("optim.lr=0.5", ["optim.lr"], None),
        ("optim.lr=0.5", ["optim"], None),
        ("optim.lr=0.5", ["opt", "optim.lr2", "seed"], "optim.lr"),
        ("seed=1", ["seed"], None),
    ],
)
def test_only_what_changes_no_result_may_change(
    tmp_path: Path, change: str, allow: list[str], refused: str | None
) -> None:
    provenance.check_resume(CONFIG, tmp_path, [])  # nothing there yet
    files.write_json(tmp_path / "config.json", fields.to_json(CONFIG))
    changed = fields.override(CONFIG, [change], "the test")
    assert dataclasses.asdict(changed) != dataclasses.asdict(CONFIG)
    if refused is None:
        provenance.check_resume(changed, tmp_path, allow)
    else:
        with pytest.raises(Refusal, match="another configuration") as caught:
            provenance.check_resume(changed, tmp_path, allow)
        assert refused in str(caught.value)
