"""Load the EXPERIMENT argument: a Python file whose `config()` returns a RunConfig.

A run's config.json, or its folder, is accepted too, also on gs://.
"""

import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal

EXPERIMENT_HELP = (
    "a .py file whose config() returns a RunConfig, or a run's config.json"
)


def load(path: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The checked configuration of an experiment, with `key.sub=value` applied."""
    place = files.place(path)
    if place.is_dir():
        place = place / "config.json"
    what = f"{path} cannot be used"
    if place.suffix == ".json":
        value = files.read_json(place, "a run's configuration")
        config = fields.from_json(RunConfig, value, what)
    else:
        config = _call(place)
    config = fields.override(config, overrides, what)
    parameters.check(config, what)
    return config


def _call(path: Path) -> RunConfig:
    if path.suffix != ".py" or not path.is_file():
        problem = "no such file" if not path.exists() else "not a .py file"
        raise Refusal(f"wanted an experiment ({EXPERIMENT_HELP}) at {path}: {problem}")
    try:
        config: Any = runpy.run_path(str(path))["config"]()
    except KeyError as error:
        if error.args != ("config",):
            raise _broken(path, error) from error
        raise Refusal(
            f"wanted a function config() in {path}: it has none. Write\n"
            "    def config() -> RunConfig:\n        return RunConfig(...)"
        ) from error
    except Exception as error:
        raise _broken(path, error) from error
    if not isinstance(config, RunConfig):
        raise Refusal(
            f"{path}: config() returned {type(config).__name__}, wanted a RunConfig"
        )
    return config


def _broken(path: Path, error: Exception) -> Refusal:
    """A Refusal for an exception in the user's file, with the line that failed."""
    if isinstance(error, SyntaxError):
        return Refusal(f"{path}, line {error.lineno}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    return Refusal(f"{where}: {type(error).__name__}: {error}")
