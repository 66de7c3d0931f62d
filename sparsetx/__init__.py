"""Weight-sparse transformers that people can read, and the circuits inside them.

Importing the package costs nothing; what is asked of it is imported then.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsetx import model, openai_format, projection, topk
    from sparsetx.circuits.circuit import load_circuit
    from sparsetx.run import load_run
    from sparsetx.tasks.table import task_pairs

__version__ = "0.1.0"

_FUNCTIONS = {
    "load_circuit": "sparsetx.circuits.circuit",
    "load_run": "sparsetx.run",
    "task_pairs": "sparsetx.tasks.table",
}
_MODULES = ("model", "openai_format", "projection", "topk")
__all__ = [
    "load_circuit",
    "load_run",
    "model",
    "openai_format",
    "projection",
    "task_pairs",
    "topk",
]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"sparsetx.{name}")
    raise AttributeError(f"module 'sparsetx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
