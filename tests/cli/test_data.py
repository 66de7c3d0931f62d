"""`sparsetx data prepare`: its help, its summary, its refusals."""

from pathlib import Path

import pytest

from sparsetx.cli.main import main
from sparsetx.data import prepare as prep
from sparsetx.data.token_files import open_prepared


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prep, "SAMPLE", 60_000)
    monkeypatch.setenv("SPARSETX_DATA", str(tmp_path))


def test_help_names_every_option_with_its_default(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["data", "prepare", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for words in ("--files GLOB", "10,000,000 of", "default: 2048", "$SPARSETX_DATA"):
        assert words in said


def test_it_prepares_and_sums_up(capsys, tmp_path: Path) -> None:
    arguments = ["data", "prepare", "tinypython", "--vocab", "512", "--tokens", "20000"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert (tmp_path / "tinypython-512" / "meta.json").exists()
    for words in ("bytes per token", "fingerprint", "licence", "a sample", "documents"):
        assert words in first
    assert main(arguments) == 0  # and finds it done
    assert capsys.readouterr().out == first


def test_what_was_prepared_is_fetched(capsys, tmp_path: Path) -> None:
    prepared = ["data", "prepare", "tinypython", "--vocab", "512", "--tokens", "20000"]
    assert main(prepared) == 0
    made = tmp_path / "tinypython-512"
    told = capsys.readouterr().out
    copy = tmp_path / "copy"
    words = ["data", "fetch", str(made), "--out", str(copy)]
    assert main(words) == 0
    assert capsys.readouterr().out == told.replace(str(made), str(copy))
    names = {path.name for path in made.iterdir()} - {"lock"}
    assert {path.name for path in copy.iterdir()} == names
    before = (copy / "meta.json").stat().st_mtime_ns
    assert main(words) == 0  # and finds it done
    assert (copy / "meta.json").stat().st_mtime_ns == before
    # Other tokens take its place, and never stand beside it.
    assert main([*prepared, "--seed", "1", "--out", str(tmp_path / "other")]) == 0
    words[2] = str(tmp_path / "other")
    assert main(words) == 0
    fingerprints = [open_prepared(p, "").fingerprint for p in (copy, words[2], made)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_nothing_prepared_is_nothing_to_fetch(capsys, tmp_path: Path) -> None:
    words = ["data", "fetch", str(tmp_path / "none"), "--out", str(tmp_path / "copy")]
    assert main(words) == 2
    assert "wanted prepared data at" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "tinypython --vocab 100",
            "wanted a vocabulary of 512 to 65536 tokens, got 100",
        ),
        ("tinypython --tokens 5", "wanted at least 1000 tokens, got 5"),
        ("files", "give --files GLOB"),
        ("files --files /no/such/*.py", "/no/such/*.py: no file matches"),
        ("tinypyton", "did you mean tinypython?"),
    ],
)
def test_bad_input_ends_with_two_and_one_message(words, message, capsys) -> None:
    assert main(["data", "prepare", *words.split()]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
