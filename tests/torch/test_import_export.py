"""Released folder -> run -> released folder, through the command line, bit for bit."""

import json

import numpy as np
import pytest
import torch

import sparsetx
from sparsetx.cli.main import main
from tests.torch.test_released_folders import full, read_state, write
from tests.torch.twin import Twin

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "released", *full())


def test_in_out_and_in_again(folder, tmp_path, capsys):
    run, out, again = (tmp_path / name for name in ("run", "out", "again"))
    assert main(["import-openai", str(folder), str(run)]) == 0
    assert f"{run}: 2 layers of 24 channels, as step 0" in capsys.readouterr().out

    held = sparsetx.load_run(run)
    assert held.step == 0
    config, state = full()
    tokens = np.random.default_rng(0).integers(0, config["vocab_size"], (2, 12))
    with torch.no_grad():
        twin = Twin(config, state, torch.float64)
        wanted = twin.logits(torch.tensor(tokens)).numpy()
    np.testing.assert_allclose(held.logits(tokens), wanted, rtol=1e-4, atol=1e-4)

    assert main(["export-openai", str(run), str(out)]) == 0
    assert f"step 0 of {run} is in {out}" in capsys.readouterr().out
    given, written = read_state(folder), read_state(out)
    assert given.keys() == written.keys()
    for name, x in given.items():
        assert x.tobytes() == written[name].tobytes(), name
    assert main(["import-openai", str(out), str(again)]) == 0
    found = sparsetx.load_run(again)
    assert found.config == held.config
    np.testing.assert_array_equal(found.logits(tokens), held.logits(tokens))


def test_what_cannot_be_imported_is_refused(folder, tmp_path, capsys):
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "file").touch()
    assert main(["import-openai", str(folder), str(occupied)]) == 2
    assert f"{occupied} holds files" in capsys.readouterr().err
    config = json.loads((folder / "beeg_config.json").read_text())
    (folder / "beeg_config.json").write_text(json.dumps(config | {"novel": 1}))
    assert main(["import-openai", str(folder), str(tmp_path / "run")]) == 2
    assert "novel" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_missing_run_or_folder_is_refused(tmp_path, capsys):
    missing, out = str(tmp_path / "missing"), str(tmp_path / "out")
    assert main(["import-openai", missing, out]) == 2
    assert missing in capsys.readouterr().err
    assert main(["export-openai", missing, out]) == 2
    assert missing in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
