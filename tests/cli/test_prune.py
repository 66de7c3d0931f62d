"""`sparsetx prune`, called in this process, on a run whose circuit is known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.circuits import circuit, size_means
from sparsetx.cli.main import main
from sparsetx.tasks import task_file
from tests import runs
from tests.circuits import compiled, devices, handmade

QUICK = ["--rounds", "1x100", "--pairs", "8", "--finalists", "1", "--no-effective"]


def cut(folder: Path) -> None:
    run, file = handmade.run(folder), handmade.task_file(folder)
    with devices.two():
        assert main(["prune", str(run), "--task-file", str(file), *QUICK]) == 0


@pytest.fixture(scope="module")
def done() -> Path:
    """A run with its circuits, made once for all workers."""
    return runs.once("handmade", cut) / "run"


def ask(run: Path, *more: str) -> list[str]:
    return ["prune", str(run), "--task-file", str(run.parent / "quotes.jsonl"), *more]


def test_the_known_circuit_is_found_and_saved(done: Path) -> None:
    found = sparsetx.load_circuit(done / "circuits" / handmade.TASK)
    assert len(found.nodes) == len(compiled.CIRCUIT)
    assert set(found.nodes) == compiled.CIRCUIT
    size, test = found.facts.size, found.facts.test
    assert (size.edges, size.constants, size.edges_plus) == (9, 0, 9)
    assert size.effective_edges is None  # not requested
    assert size.boundary > 0
    assert test.accuracy == test.whole_accuracy == 1
    assert test.H is not None
    assert test.H <= 0.15
    assert found.facts.search.honest == 1
    assert len(found.facts.history.seed) == 1
    assert (done / "circuits" / handmade.TASK / "plain" / circuit.JSON).is_file()
    assert list((done / "circuits").glob("means-*.npz"))
    assert not list((done / "circuits").rglob("lock"))


def test_its_stored_loss_is_reproduced(done: Path) -> None:
    found = sparsetx.load_circuit(done / "circuits" / handmade.TASK)
    tokenizer = sparsetx.load_run(done).tokenizer
    file = done.parent / f"{handmade.TASK}.jsonl"
    pairs = task_file.file_pairs(file, tokenizer, "heldout", context=32)
    logits_B2 = found.answer_logits(pairs.tokens_BL, pairs.position_B, pairs.answers_B2)
    loss = np.mean(np.logaddexp(0, logits_B2[:, 1] - logits_B2[:, 0]))
    assert loss == pytest.approx(found.loss, abs=1e-6)


def test_how_much_of_the_model_is_understood(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This model's circuits are all that it does: with their nodes it is whole."""
    batches = ["--batches", "1"]
    assert main(["eval", str(done), "--understood", "honest", *batches]) == 0
    said = capsys.readouterr().out
    assert f"honest circuits of 1 tasks: {handmade.TASK}" in said
    assert f"they have {len(compiled.CIRCUIT)} of " in said
    assert main(["eval", str(done), "--understood", "faithful", *batches]) == 2
    assert "wanted faithful circuits" in capsys.readouterr().err


def test_what_is_done_is_not_done_again(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = done / "circuits" / handmade.TASK / circuit.JSON
    before = path.stat().st_mtime_ns
    assert main(ask(done, *QUICK)) == 0
    assert path.stat().st_mtime_ns == before
    said = capsys.readouterr().out
    assert "geometric mean of edges, honest: 9.0 [9.0, 9.0], 1 tasks" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--honest", "2"], "--honest 2.0: wanted 0 to 1"),
        (["--target", "0.9"], "--target 0.9: wanted 0 to 0.69"),
        (["--rounds", "8"], "--rounds 8: wanted NxS"),
        (["--pools", "1,2"], "--pools 1,2: wanted TRAIN,VAL,TEST"),
        (["--memory", "-1"], "--memory -1.0: wanted more than 0"),
        (["--memory", "nan"], "--memory nan: wanted more than 0"),
        (["--rounds", "2x0"], "--rounds 2x0: wanted NxS"),
        (["--pools", "8,00,8"], "--pools 8,00,8: wanted TRAIN,VAL,TEST"),
        (["--seed", "-1"], "--seed -1: wanted 0 or more"),
        (["--shuffle", "-2"], "--shuffle -2: wanted 0 or more"),
        (["--rounds", "1x25", "--pairs", "8"], "cut in another way"),
        (["--shuffle", "1", *QUICK], "is of "),
    ],
)
def test_bad_input(
    done: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(done / "circuits")] if "--shuffle" in more else []
    assert main(ask(done, *more, *out)) == 2
    assert message in capsys.readouterr().err


def test_tasks_that_cannot_be_made_are_refused(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", str(done), "--tasks", "for_whil"]) == 2
    assert "did you mean for_while" in capsys.readouterr().err
    assert main(["prune", str(done), "--tasks", "indent_for", *QUICK]) == 2
    assert "distinct pairs of indent_for" in capsys.readouterr().err
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    assert main(["prune", str(done), "--task-file", str(broken)]) == 2
    assert "line 1: lacks" in capsys.readouterr().err


def test_folders_without_a_run_or_a_checkpoint_are_refused(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", str(tmp_path / "none")]) == 2
    assert "wanted a run at" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(done / "config.json", empty)
    assert main(["prune", str(empty)]) == 2
    assert "it has no checkpoint yet" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(ask(done, "--out", str(blocked / "x"), *QUICK)) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.slow
def test_shuffled_weights_are_pruned_though_they_miss_the_target(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole model does not do the task, but circuits are searched."""
    quick = ["--rounds", "1x25", "--pairs", "8", "--honest", "0"]
    assert main(ask(done, "--shuffle", "3", *quick)) == 0
    folder = done / "circuits-shuffled-3" / handmade.TASK
    told = json.loads((folder / circuit.JSON).read_text())
    assert told["model"]["shuffled"] == 3
    assert told["status"] in ("reached", "not reached")
    assert told["history"]["seed"] == [0]
    assert "plain" in capsys.readouterr().out


def test_a_task_that_the_model_cannot_do(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"answer_a": "\n", "answer_b": ")\n"}
    rows = [
        {"prompt_a": f"x = {a}", "prompt_b": f"y = {a}"} | answers
        for a in range(40, 90)
    ]
    file = done.parent / "odd.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["prune", str(done), "--task-file", str(file), *QUICK]) == 0
    assert "odd, honest: not done by the model" in capsys.readouterr().out
    assert not (done / "circuits" / "odd" / circuit.NPZ).exists()


def test_means_over_tasks() -> None:
    mean = size_means.geometric_mean([10, 1000])
    assert mean is not None
    assert mean.value == pytest.approx(100)
    assert (mean.low, mean.high) == pytest.approx((10, 1000))
    assert size_means.geometric_mean([]) is None
    ratio = size_means.ratio([160, 320], [10, 10])
    assert ratio is not None
    assert ratio.value == pytest.approx(22.627, rel=1e-3)


def test_intervals_over_trainings_cover_how_these_differ() -> None:
    same = ([160, 160], [10, 10])
    once = size_means.ratio_of_trainings([same, same])
    assert (once.value, once.low, once.high) == pytest.approx((16, 16, 16))
    assert once.count == 4
    other = ([40, 40], [10, 10])  # within a training no task differs
    both = size_means.ratio_of_trainings([same, other])
    assert both.value == pytest.approx(8)
    assert (both.low, both.high) == pytest.approx((4, 16))


@pytest.mark.slow
def test_improving_keeps_the_smaller_circuit(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worse search changes nothing; a better one replaces what is larger."""
    run = tmp_path / "run"
    shutil.copytree(done.parent, tmp_path, dirs_exist_ok=True)
    path = run / "circuits" / handmade.TASK / circuit.JSON
    before = path.read_bytes()
    less = ["--rounds", "1x25", "--pairs", "8", "--finalists", "1", "--no-effective"]
    assert main(ask(run, *less, "--improve")) == 0
    assert path.read_bytes() == before
    facts = json.loads(before)
    facts["size"]["edges_plus"], facts["search"]["rounds"] = 99, ["1x25"]
    path.write_text(json.dumps(facts))
    assert main(ask(run, *QUICK, "--improve")) == 0
    assert json.loads(path.read_text())["size"]["edges_plus"] == 9
    capsys.readouterr()
    assert main(ask(run, *QUICK, "--improve", "--target", "0.2")) == 2
    assert "target was 0.15, now 0.2" in capsys.readouterr().err
