"""Evidence: what a control is given (a circuit, its model, its pools).

`Evidence.margins` measures margins under many taps. A control passes a *kind*: a
function that returns a tap, given what all draws share and what is each draw's own. It
runs for every draw, a fixed number at a time on every device, and reports progress.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.facts import Search
from sparsetx.circuits.measure import ablations, edges
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import pools
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Nodes
from sparsetx.system.progress import Progress, Reporter, silent
from sparsetx.taps import Tap

Array = npt.NDArray[Any]
Kind = Callable[[Any, Any], Tap]
Remeasure = Callable[[Any], Nodes]  # parameters -> their nodes' means
Text = Callable[[int, int], Array | None]  # how many rows, of how many tokens -> tokens

FEW = 32  # pairs, for controls with many draws
ROOM = 5e8  # the most bytes of activations in a control
AT_ONCE = 4  # draws on a device in one call


@dataclass(frozen=True, eq=False)
class Evidence:
    """`remeasure` is None where there is no text for means of other models; `text`
    returns None where the run's tokens are not here."""

    subject: Subject
    train: Task
    val: Task
    test: Task
    distractor_P: npt.NDArray[np.bool_]  # of the test pool
    answers: Sequence[int]  # tokens whose logits decide
    search: Search  # the settings that the circuit was found with
    name: str = ""
    remeasure: Remeasure | None = None
    text: Text = lambda rows, length: None
    report: Reporter = silent

    @property
    def config(self) -> ModelConfig:
        return self.subject.config

    @property
    def params(self) -> Any:
        return self.subject.params

    @property
    def means(self) -> Nodes:
        return self.subject.means

    @property
    def keep(self) -> Nodes:
        return self.subject.keep

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.keep)

    @property
    def target(self) -> float:
        return self.search.target

    @functools.cached_property
    def few(self) -> Task:
        """The first pairs of the test pool; their activations fit in ROOM."""
        length = self.test.asked.tokens_BL.shape[1]
        wide = nodes.count(self.config) * 4 * length
        pairs = max(1, min(FEW, int(ROOM / wide / 2), len(self.test.asked) // 2))
        return self.test.rows(np.arange(2 * pairs))

    @functools.cached_property
    def pattern(self) -> edges.Patterns:
        found = edges.patterns(self.config, self.params)
        return {kind: np.asarray(x) for kind, x in found.items()}

    @functools.cached_property
    def size(self) -> edges.Size:
        keep = {site: np.asarray(x) for site, x in self.keep.items()}
        return edges.Size(*map(int, edges.size(self.config, self.pattern, keep)))

    @functools.cached_property
    def activations(self) -> Nodes:
        """Activations of the whole model on the few prompts."""
        tokens_BL = self.few.asked.tokens_BL
        return ablations.activations(self.config, self.params, tokens_BL, self.sites)

    @functools.cached_property
    def on_text(self) -> Nodes | None:
        """The same on as many rows of running text, which need not be of the task."""
        tokens_BL = self.text(*self.few.asked.tokens_BL.shape)
        if tokens_BL is None:
            return None
        given = self.config, self.params, jnp.asarray(tokens_BL), self.sites
        return ablations.activations(*given)

    @functools.cached_property
    def whole(self) -> Array:
        """[B] margins of the whole model on the few prompts."""
        everything = stacked([self.subject.whole.keep])
        return np.asarray(self.margins(masked, self.means, everything, "")[0])

    @functools.cached_property
    def cut(self) -> Array:
        """[B] margins of the circuit on the few prompts."""
        return np.asarray(self.margins(masked, self.means, stacked([self.keep]), "")[0])

    @functools.cached_property
    def reached(self) -> bool:
        """Whether the circuit reaches its target on the val pool, where it was chosen:
        else its size cannot be compared."""
        return loss_of(self.subject.margins(self.val)) <= self.target

    def margins(
        self, kind: Kind, shared: Any, each: Any, stage: str, frozen: bool = False
    ) -> Array:
        """[N, B] margins on the few prompts under each of N taps; `each` has leading
        axes of N. Progress is reported if `stage` is not empty."""
        devices = tuple(jax.local_devices())
        count, many = len(jax.tree.leaves(each)[0]), AT_ONCE * len(devices)
        program = _program(self.config, kind, devices)
        scales = self.few.scales if frozen else None
        given = self.params, self.few.asked, scales, shared
        found = []
        for place in mesh.portions(count, many):
            if stage:
                self.tell(stage, int(place[0]), count)
            own = jax.tree.map(lambda x, place=place: np.asarray(x)[place], each)
            found.append(np.asarray(program(*given, own)))
        if stage:
            self.tell(stage, count, count)
        return np.concatenate(found)[:count]

    def tell(self, stage: str, done: float, total: float, unit: str = "draws") -> None:
        title = f"{self.name}, {self.search.kind}, {stage}"
        self.report(Progress(title, done, total, unit))

    def on(self, params: Any, means: Nodes) -> "Evidence":
        """The same task and mask in another model."""

        def again(own: Task) -> Task:
            return pools.with_norms(self.config, params, own.asked)

        return dataclasses.replace(
            self,
            subject=dataclasses.replace(self.subject, params=params, means=means),
            train=again(self.train),
            val=again(self.val),
        )


def masked(means: Nodes, keep: Nodes) -> Tap:
    """Mean ablation of all nodes that a mask does not keep."""
    return ablations.mean(keep, means)


def stacked(trees: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Trees stacked on a new first axis."""
    return {
        site: np.stack([np.asarray(tree[site]) for tree in trees]) for site in trees[0]
    }


def loss_of(margin_B: Array) -> float:
    """The loss for [B] margins, in nats."""
    return float(losses_of(margin_B))


def losses_of(margin_NB: Array) -> Array:
    """[N] losses for [N, B] margins; NaN becomes a large loss."""
    wide_NB = np.nan_to_num(np.float64(margin_NB), nan=-1e6)
    return np.asarray(np.logaddexp(0.0, -wide_NB).mean(-1))


def right_of(margin_NB: Array) -> Array:
    """Fractions of right answers."""
    return np.asarray((margin_NB > 0).mean(-1))


@functools.cache
def _program(config: ModelConfig, kind: Kind, devices: tuple[jax.Device, ...]) -> Any:
    def all_of(
        params: Any, asked: Question, scales: Any, shared: Any, each: Any
    ) -> jax.Array:
        def one(own: Any) -> jax.Array:
            return ablations.margins(config, params, asked, kind(shared, own), scales)

        wide = 1 if devices[0].platform == "cpu" else AT_ONCE
        return jnp.asarray(jax.lax.map(one, each, batch_size=wide))

    return mesh.OverLanes(all_of, devices, whole=4)
