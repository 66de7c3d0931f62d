"""Load the EXPERIMENT argument: a Python file whose `config()` returns a RunConfig.

A run's config.json, or its folder, is accepted too, also on gs://.
"""

import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal

if TYPE_CHECKING:
    from sparsetx.study import Study

STUDY_HELP = "a .py file whose study() returns a Study"
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
        config = _call(place, "config", RunConfig)
    config = fields.override(config, overrides, what)
    parameters.check(config, what)
    return config


def load_study(path: str) -> "Study":
    """The checked study of an experiment: what its study() returns."""
    from sparsetx.study import definition

    study: Study = _call(files.place(path), "study", definition.Study)
    definition.check(study, f"{path} cannot be used")
    return study


def _call(path: Path, function: str, wanted: type[Any]) -> Any:
    """What a function of the file returns."""
    if path.suffix != ".py" or not path.is_file():
        problem = "no such file" if not path.exists() else "not a .py file"
        help = EXPERIMENT_HELP if function == "config" else STUDY_HELP
        raise Refusal(f"wanted an experiment ({help}) at {path}: {problem}")
    try:
        found: Any = runpy.run_path(str(path))[function]()
    except KeyError as error:
        if error.args != (function,):
            raise _broken(path, error) from error
        name = wanted.__name__
        raise Refusal(
            f"wanted a function {function}() in {path}: it has none. Write\n"
            f"    def {function}() -> {name}:\n        return {name}(...)"
        ) from error
    except Exception as error:
        raise _broken(path, error) from error
    if not isinstance(found, wanted):
        raise Refusal(
            f"{path}: {function}() returned {type(found).__name__}, "
            f"wanted a {wanted.__name__}"
        )
    return found


def _broken(path: Path, error: Exception) -> Refusal:
    """A Refusal for an exception in the user's file, with the line that failed."""
    if isinstance(error, SyntaxError):
        return Refusal(f"{path}, line {error.lineno}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    return Refusal(f"{where}: {type(error).__name__}: {error}")
