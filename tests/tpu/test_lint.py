"""Shell that shellcheck passes, and files that are short."""

import os
import subprocess
import sys
from pathlib import Path

from tests.house import LONGEST_FILE, ROOT
from tests.tpu.cloud import FAKES


def scripts() -> list[Path]:
    fakes = [p for p in FAKES.rglob("*") if p.is_file()]
    return [*(ROOT / "tpu").glob("*.sh"), ROOT / ".ci" / "run", *fakes]


def test_shellcheck() -> None:
    own = Path(sys.executable).with_name("shellcheck")
    words = [str(own), "--external-sources", "--source-path=SCRIPTDIR"]
    words += map(str, scripts())
    end = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert end.returncode == 0, end.stdout


def test_scripts_are_short_strict_and_can_be_run() -> None:
    for path in scripts():
        text = path.read_text()
        assert text.count("\n") <= LONGEST_FILE, path
        assert max(map(len, text.splitlines())) <= 88, path
        assert len(text.splitlines()[1].strip("# ")) > 10, path  # says what it is for
        if path.parent == ROOT / "tpu":
            strict = "set -euo pipefail" in text or '/lib.sh"' in text
            assert strict, path
        assert path.name == "lib.sh" or os.access(path, os.X_OK), path
