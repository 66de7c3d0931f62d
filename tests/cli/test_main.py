"""Every command: its --help, one bad call, its exit codes."""

import subprocess
import sys
import time
from subprocess import PIPE
from types import SimpleNamespace
from typing import Any

import pytest

import sparsetx
from sparsetx.cli import main as cli

# {command: (a call with a mistake, part of its message)}. A command without an entry
# fails the first test: add a mistake that a newcomer would make.
BAD_CALLS: dict[str, tuple[list[str], str]] = {
    "aot": (["nowhere.py", "--topology", "v5e-17"], "no TPU slice 'v5e-17'"),
    "bench": (["topkk"], "topkk: did you mean topk?"),
    "config": (["nowhere.py"], "at nowhere.py: no such file"),
    "decompile": (["/nowhere/at/all"], "wanted a circuit at /nowhere/at/all"),
    "controls": (["/nowhere/at/all"], "wanted a circuit at /nowhere/at/all"),
    "data": (["prepare", "tinypython", "--vocab", "7"], "7"),
    "doctor": (["--folder", "/nowhere/at/all"], "name a folder that exists"),
    "tasks": (["single_quote"], "single_double_quote"),
    "study": (["/nowhere/at/all.py"], "/nowhere/at/all.py"),
    "train": (["nowhere.py"], "at nowhere.py: no such file"),
    "eval": (["/nowhere/at/all"], "/nowhere/at/all"),
    "generate": (["/nowhere/at/all", "--prompt", "x"], "/nowhere/at/all"),
    "inspect": (["/nowhere/at/all"], "/nowhere/at/all"),
    "import-openai": (["/nowhere/at/all", "/nowhere/run"], "/nowhere/at/all"),
    "export": (["/nowhere/at/all", "/nowhere/out"], "/nowhere/at/all"),
    "export-openai": (["/nowhere/at/all", "/nowhere/out"], "/nowhere/at/all"),
    "plot": (["/nowhere/at/all"], "/nowhere/at/all"),
    "prune": (["/nowhere/at/all"], "wanted a run at /nowhere/at/all"),
    "report": (["/nowhere/at/all"], "there is neither"),
    "verify": (["/nowhere/at/all"], "wanted a run at /nowhere/at/all"),
}
# For the doctor, a bad folder is a failed check, not bad input.
EXIT = {"doctor": 1}


def test_every_command_has_a_bad_call_and_a_summary() -> None:
    missing = set(cli.COMMANDS) - set(BAD_CALLS)
    assert not missing, f"add to BAD_CALLS: {', '.join(sorted(missing))}"
    assert set(cli.SUMMARY) == set(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: sparsetx {command}" in text
    assert len(text.splitlines()) > 4


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_bad_call_is_one_message_and_exit_code_2(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = BAD_CALLS[command]
    assert cli.main([command, *arguments]) == EXIT.get(command, 2)
    out, err = capsys.readouterr()
    assert message in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_an_unknown_option_is_exit_code_2(command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--no-such-option"])
    assert ended.value.code == 2


def test_top_level(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in cli.COMMANDS)
    for arguments in (["nonsense"], []):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2


def test_ctrl_c_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: Any) -> int:
        raise KeyboardInterrupt

    module = SimpleNamespace(__doc__="x", arguments=lambda p: None, main=interrupted)
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)
    assert cli.main(["config"]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: Any) -> int:
        raise ValueError("our own mistake")

    module = SimpleNamespace(__doc__="x", arguments=lambda p: None, main=broken)
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)
    with pytest.raises(ValueError, match="our own mistake"):
        cli.main(["config"])


def test_a_closed_pipe_prints_no_error() -> None:
    """As `sparsetx tasks | head` does."""
    command = [sys.executable, "-m", "sparsetx", "tasks"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


def test_as_a_process() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "sparsetx", "--version"], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (0, f"sparsetx {sparsetx.__version__}\n")


def test_importing_the_package_and_asking_for_help_is_quick() -> None:
    """Neither loads JAX; the help of a newcomer's first call answers at once."""
    program = (
        "import sys, sparsetx\nfrom sparsetx.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert time.monotonic() - began < 2  # seconds; most of it is Python's own start
