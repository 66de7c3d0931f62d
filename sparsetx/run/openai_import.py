"""Import a released model (a folder in the authors' format) as a new run."""

from pathlib import Path

from sparsetx import openai_format
from sparsetx.config import ModelConfig, RunConfig, SparsityConfig
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.run import CONFIG, TOKENIZER
from sparsetx.run.checkpoints import PARAMS, Checkpoints
from sparsetx.system import fields, files, lock
from sparsetx.system.errors import Refusal


def from_openai(
    folder: files.PathLike, path: Path, tokenizer: files.PathLike | None = None
) -> ModelConfig:
    """Make a run at `path` whose step 0 holds the weights of a released folder."""
    if path.exists() and any(path.iterdir()):
        raise Refusal(f"wanted a new folder for the run, but {path} holds files")
    config, params = openai_format.load(folder)
    words = _tokenizer(Path(folder), tokenizer, config.vocab_size)
    with lock.held(path):
        if words:
            words.save(path / TOKENIZER)
        files.write_json(path / CONFIG, fields.to_json(_as_run(config)))
        checkpoints = Checkpoints(path)
        checkpoints.save(0, {PARAMS: params}, {"imported": str(folder)})
        checkpoints.close()
    return config


def _as_run(model: ModelConfig) -> RunConfig:
    """A run's configuration; how it was trained is not in the released files."""
    return RunConfig(model=model, sparsity=SparsityConfig(block=1.0, embed=1.0))


def _tokenizer(
    folder: Path, named: files.PathLike | None, vocab: int
) -> Tokenizer | None:
    """The tokenizer at `named`; if None, the folder's own, if it has one."""
    beside = any((folder / f).exists() for f in ("encoder.json", "tokenizer.json"))
    if named is None and not beside:
        return None
    found = Tokenizer.load(named or folder)
    if found.vocab_size > vocab:
        raise Refusal(
            f"the tokenizer at {named or folder} has {found.vocab_size} tokens, the "
            f"model only {vocab}: it is another model's"
        )
    return found
