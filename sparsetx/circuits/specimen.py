"""A circuit under the knife: its arrays, and the prompts that it is examined on."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.question import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Node, Nodes


@dataclass(frozen=True, eq=False)
class Specimen:
    """A Circuit gives the first four."""

    config: ModelConfig
    params: Any
    keep: Nodes
    means: Nodes
    asked: Question

    @functools.cached_property
    def kept(self) -> list[Node]:
        """In the order of computation."""
        sites = tuple(self.keep)
        flat = nodes.flatten(self.config, self.keep, sites)
        found = np.flatnonzero(flat > 0.5)
        return [nodes.node_at(self.config, int(i), sites) for i in found]
