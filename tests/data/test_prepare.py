"""Preparing: reproducible tokens, the description written last, clear errors."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsetx.data import documents as docs
from sparsetx.data import prepare as prep
from sparsetx.data import token_files
from sparsetx.data.prepare import Request, prepare, verify
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress
from tests.data.test_builders import write_corpus

TOKENS = 60_000


@pytest.fixture(scope="module", autouse=True)
def small_sample() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prep, "SAMPLE", 60_000)
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> token_files.Prepared:
    out = tmp_path_factory.mktemp("data") / "tiny"
    return prepare(Request("tinypython", 512, TOKENS, str(out)))


def test_the_stream_is_the_documents(tiny: token_files.Prepared) -> None:
    tokenizer = Tokenizer.load(tiny.tokenizer_path)
    eot = tokenizer.eot
    train = tiny.split("train")
    assert TOKENS <= len(train) < TOKENS + 1000
    tokens = train.windows(np.array([0]), len(train))[0]
    assert tokens[0] == eot == tiny.vocab_size - 1
    texts = tokenizer.decode(tokens[1:]).split("<|endoftext|>")
    source = docs.distinct(docs.tinypython(0))
    wanted = (one.text for split, one in source if split == "train")
    assert texts == list(itertools.islice(wanted, len(texts)))
    assert len(texts) == tiny.meta["splits"]["train"]["documents"]
    size = sum(len(text) for text in texts)
    assert size == tiny.meta["splits"]["train"]["bytes"]


def test_the_splits_share_no_document(tiny: token_files.Prepared) -> None:
    tokenizer = Tokenizer.load(tiny.tokenizer_path)
    held = tiny.split("validation")
    assert len(held) > 300
    text = tokenizer.decode(held.windows(np.array([0]), len(held))[0][1:])
    for one in text.split("<|endoftext|>"):
        assert docs.split_of(docs.digest(one)) == "validation"


def test_it_says_what_it_is(tiny: token_files.Prepared) -> None:
    assert tiny.meta["dtype"] == "uint16"
    assert tiny.vocab_size == 512
    assert tiny.meta["provenance"]["licence"]
    assert tiny.meta["tokenizer"] == Tokenizer.load(tiny.tokenizer_path).fingerprint
    out = str(tiny.path)
    assert tiny.meta["command"] == (
        f"sparsetx data prepare tinypython --out {out} --tokens {TOKENS} --vocab 512"
    )
    verify(tiny)


def test_a_second_time_does_nothing(tiny: token_files.Prepared) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in tiny.path.iterdir()}
    said: list[Progress] = []
    again = prepare(Request("tinypython", 512, TOKENS, str(tiny.path)), said.append)
    assert again.fingerprint == tiny.fingerprint
    assert said == []
    assert before == {
        path.name: path.stat().st_mtime_ns for path in tiny.path.iterdir()
    }


def test_the_same_under_another_hash_seed(
    tiny: token_files.Prepared, tmp_path: Path
) -> None:
    program = (
        "from sparsetx.data import prepare as p\n"
        "p.SAMPLE = 60_000\n"
        f"r = p.Request('tinypython', 512, {TOKENS}, {str(tmp_path)!r})\n"
        "print(p.prepare(r).fingerprint)"
    )
    env = os.environ | {"PYTHONHASHSEED": "99", "RAYON_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True
    )
    assert made.stdout.strip() == tiny.fingerprint, made.stderr


def test_other_seeds_give_other_tokens(tmp_path: Path) -> None:
    made = [
        prepare(Request("tinypython", 512, 5000, str(tmp_path / str(seed)), seed=seed))
        for seed in (0, 1)
    ]
    assert made[0].fingerprint != made[1].fingerprint


def spoil(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        with open(folder / name, "r+b") as file:
            file.truncate(200)

    return cut


@pytest.mark.parametrize("name", ["train-00000.npy", "tokenizer.json", "meta.json"])
def test_damaged_tinypython_is_made_anew(name: str, tmp_path: Path) -> None:
    request = Request("tinypython", 512, 5000, str(tmp_path))
    good = prepare(request)
    spoil(name)(tmp_path)
    again = prepare(request)
    assert again.fingerprint == good.fingerprint
    verify(again)


def test_no_description_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it overwrites older data."""
    prepare(Request("tinypython", 512, 5000, str(tmp_path)))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prep, "write_splits", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(Request("tinypython", 512, 6000, str(tmp_path)))
    with pytest.raises(Refusal, match=r"there is none. Run"):
        token_files.open_prepared(tmp_path, "sparsetx data prepare tinypython")


def test_a_changed_token_is_found(tmp_path: Path) -> None:
    made = prepare(Request("tinypython", 512, 5000, str(tmp_path)))
    path = tmp_path / "train-00000.npy"
    tokens = np.load(path)
    tokens[1234] ^= 1
    np.save(path, tokens)
    with pytest.raises(Refusal, match=r"(?s)content is not what it was.*prepare tiny"):
        verify(made)


def test_files_through_their_builder(tmp_path: Path) -> None:
    """Larger than tinypython's default limit or not, all of them are taken."""
    write_corpus(tmp_path / "texts", 600)
    for number, path in enumerate(sorted((tmp_path / "texts").iterdir())):
        words = " ".join(f"w{(number * k * k) % 997:03}" for k in range(60))
        path.write_text(f"{path.read_text()}{words}\n")
    out = str(tmp_path / "out")
    said: list[Progress] = []
    made = prepare(
        Request("files", 512, out=out, globs=(f"{tmp_path}/texts/*.txt",)), said.append
    )
    counts = {name: split["documents"] for name, split in made.meta["splits"].items()}
    assert sum(counts.values()) == 601
    assert said[-1].done == said[-1].total
    assert said[-1].unit == "documents"
    assert made.meta["provenance"]["licence"] == docs.FILES.licence
    verify(made)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("tinypython", vocab=100), "512 to 65536 tokens, got 100"),
        (Request("tinypython", tokens=5), "at least 1000 tokens, got 5"),
        (Request("tinypython", globs=("a",)), "--files goes with `files`"),
        (Request("tinypython", packages=True), "--packages goes with `stdlib`"),
        (Request("tinypython", seed=-1), "seed of 0 or more, got -1"),
        (Request("files"), "give --files GLOB"),
        (Request("files", globs=("/no/where/*",)), "no file matches"),
    ],
)
def test_requests_that_cannot_be_met(request_: Request, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        prepare(request_)


def test_folders_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSETX_DATA", "/some/where")
    assert Request("lm1b/subwords8k:1.0.0").folder == Path(
        "/some/where/lm1b-subwords8k-1.0.0-2048"
    )
    assert Request("files").command == "sparsetx data prepare files --files GLOB"
    request = Request("files", 4096, 2000, "o ut", ("a*.py", "b"), "code", False, 3)
    assert request.command == (
        "sparsetx data prepare files --files 'a*.py' --files b --out 'o ut' "
        "--tokens 2000 --vocab 4096 --seed 3 --field code"
    )


def test_a_limit_beyond_the_corpus_takes_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = list(itertools.islice(docs.tinypython(0), 400))
    monkeypatch.setattr(docs, "stdlib", lambda packages=False: iter(few))
    made = prepare(Request("stdlib", 512, 10**9, str(tmp_path)))
    assert sum(split["documents"] for split in made.meta["splits"].values()) == 400
    assert files.read_json(tmp_path / "meta.json", "it")["fingerprint"]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process, which holds the folder until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    found = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert found.stdout is not None
    assert found.stdout.readline() == "held\n"
    yield found
    found.kill()
    found.communicate()


def test_what_another_process_prepares_is_waited_for(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """Two would mix their shards; the second one may use the first one's result."""
    stages = []

    def report(now: Progress) -> None:
        if now.stage == prep.WAITING and holder.poll() is None:
            assert not (tmp_path / "meta.json").exists()
            holder.communicate("")
        stages.append(now.stage)

    request = Request("tinypython", 512, 2000, str(tmp_path))
    assert prepare(request, report).meta["name"] == "tinypython"
    assert stages.index(prep.WAITING) == 0
    assert not (tmp_path / "lock").exists()


def test_texts_of_ones_own_are_prepared_by_one_process(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """Where they are written anew each time, the second one would only replace them."""
    with pytest.raises(Refusal, match=f"process {holder.pid} on"):
        prepare(Request("stdlib", 512, 2000, str(tmp_path)))


HOLD = """
import sys
from sparsetx.system import lock
with lock.held(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_drills_are_another_corpus(tmp_path: Path) -> None:
    """Even in one folder, and it is not prepared again where it is there."""
    drills = Request("tinypython-drills", 512, TOKENS, str(tmp_path))
    plain = Request("tinypython", 512, TOKENS, str(tmp_path))
    first = prepare(plain).fingerprint
    assert prep.already(drills) is None
    made = prepare(drills)
    again = prep.already(drills)
    assert again is not None
    assert again.fingerprint == made.fingerprint != first
