"""A cloud of our own: a fake gcloud on PATH, its clock, workers that are folders."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house import ROOT

FAKES = Path(__file__).parent / "fakes"
GOLDEN = Path(__file__).parent / "golden"
NEEDED = ("setup.cfg", "pyproject.toml", "constraints.txt", "Makefile")
SETTINGS = {
    "PROJECT": "proj",
    "ZONE": "us-central1-a",
    "TPU_TYPE": "v5litepod-8",
    "RUN": "gs://bucket/first",
    "EXP": "experiments/tiny.py",
    "RETRY_WAIT": "10",
}
READY = "ACTIVE:READY"
SECONDS = 300  # after which a script that hangs is killed: machines may be slow


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str


def checkout(folder: Path) -> Path:
    """A clean git checkout of what is pushed to workers."""
    folder.mkdir()
    shutil.copytree(ROOT / "tpu", folder / "tpu")
    for name in NEEDED:
        shutil.copy(ROOT / name, folder / name)
    (folder / "experiments").mkdir()
    shutil.copy(ROOT / "experiments" / "tiny.py", folder / "experiments" / "tiny.py")
    who = ["-c", "user.name=us", "-c", "user.email=us@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=plain())
    return folder


def plain() -> dict[str, str]:
    """The environment without what the person at the keyboard has set."""
    names = (*SETTINGS, "NAME", "DRY_RUN", "TIER", "ARGS", "FORCE", "PRICE", "WORKER")
    found = {k: v for k, v in os.environ.items() if k not in names}
    return found | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


class Cloud:
    """One scenario: what the fake is to play, and what it was told."""

    def __init__(self, folder: Path, code: Path):
        self.folder, self.code = folder, code
        for name in ("plan", "units", "temporary", "path"):
            (folder / name).mkdir(parents=True)
        (folder / "clock").write_text("1770000000\n")
        self.plan(1, READY)

    def plan(self, request: int, *states: str) -> None:
        """What one sees of the Nth request, look by look; the last one stays."""
        (self.folder / "plan" / str(request)).write_text("\n".join(states) + "\n")

    def unit(self, number: int, *ends: str) -> None:
        """How the Nth unit ends: "LOOKS CODE", for each worker if they differ."""
        (self.folder / "units" / str(number)).write_text("\n".join(ends) + "\n")

    def environment(self, **more: str) -> dict[str, str]:
        path = os.environ["PATH"]
        fakes = f"{FAKES}:{FAKES / 'clock'}"
        ours = {
            "CLOUD": str(self.folder), "FAKES": str(FAKES), "REAL_PATH": path,
            "REAL_SLEEP": str(shutil.which("sleep")), "REAL_PYTHON": sys.executable,
            "REAL_DATE": str(shutil.which("date")), "PATH": f"{fakes}:{path}",
            "TMPDIR": str(self.folder / "temporary"),
        }  # fmt: skip
        return {k: v for k, v in (plain() | SETTINGS | ours | more).items() if v}

    def start(self, words: Sequence[str], **more: str) -> "subprocess.Popen[str]":
        """In a group of its own, so that Ctrl-C can be sent to all of it; also where
        the tests themselves were started in the background, or by nohup, deaf to it."""
        # Not by preexec_fn: JAX warns of the fork that it takes.
        heard = [str(shutil.which("env")), "--default-signal=INT,HUP", *words]
        return subprocess.Popen(
            heard, cwd=self.code, env=self.environment(**more), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def run(self, script: str, *words: str, **more: str) -> Ended:
        """tpu/SCRIPT.sh WORDS, with settings that may be changed, or emptied."""
        process = self.start([f"tpu/{script}.sh", *words], **more)
        return ended(process)

    def make(self, *words: str, **more: str) -> Ended:
        return ended(self.start(["make", "--no-print-directory", *words], **more))

    def begun(
        self, script: str, *words: str, when: Callable[[], bool], **more: str
    ) -> "subprocess.Popen[str]":
        """A script that runs, once something is so."""
        process = self.start([f"tpu/{script}.sh", *words], **more)
        end = time.monotonic() + SECONDS
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        return process

    def interrupted(
        self,
        script: str,
        *words: str,
        when: Callable[[], bool],
        number: int = signal.SIGINT,
        **more: str,
    ) -> Ended:
        """A signal to all of it, as a terminal sends Ctrl-C, once something is so."""
        process = self.begun(script, *words, when=when, **more)
        os.killpg(process.pid, number)
        return ended(process)

    def worker(self, number: int, *words: str, **more: str) -> Ended:
        """worker.sh, as it runs on a worker."""
        home = self.folder / f"worker{number}"
        home.mkdir(exist_ok=True)
        path = f"{FAKES / 'worker'}:{self.folder / 'path'}:{os.environ['PATH']}"
        ours = {"HOME": str(home), "SPARSETX_NAME": f"w{number}", "PATH": path}
        stub = {"SPARSETX_PYTHON": str(FAKES / "worker" / "python3")}
        return ended(self.start(["tpu/worker.sh", *words], **(ours | stub | more)))

    @property
    def log(self) -> list[str]:
        """What gcloud was told, with the commit's name left out."""
        path = self.folder / "log"
        return self.same(path.read_text()).splitlines() if path.exists() else []

    def same(self, text: str) -> str:
        """Text without what differs from one checkout to the next."""
        words = ["git", "rev-parse", "HEAD"]
        commit = subprocess.check_output(words, cwd=self.code, text=True).strip()
        return text.replace(commit, "COMMIT").replace(str(self.folder), "CLOUD")

    def clock(self) -> int:
        return int((self.folder / "clock").read_text()) - 1770000000

    def left(self) -> list[str]:
        """What a scenario should not leave: a request, a unit, a temporary file."""
        found = [p.name for p in (self.folder / "temporary").iterdir()]
        if (self.folder / "left").exists():
            found.append((self.folder / "left").read_text().strip())
        return found + running(self.folder)

    def clean(self) -> None:
        """End what a failed test has left running."""
        for pid in running(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def tools(folder: Path, *names: str) -> str:
    """A PATH with these programs of this machine, and no others."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name)))
    return str(folder)


def running(folder: Path) -> list[str]:
    """Processes whose home, or cloud, is in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"={folder}".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # it has ended, or is not ours to read
    return found


def ended(process: "subprocess.Popen[str]") -> Ended:
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"{process.args} hangs\n{out}\n{err}") from None
    return Ended(process.returncode, out, err)
