"""Find the runs and circuits that a report page is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsetx.circuits import circuit
from sparsetx.circuits.facts import CircuitKind, Facts
from sparsetx.run import CONFIG, METRICS, load_config, metrics_log
from sparsetx.system import files
from sparsetx.system.errors import Refusal

SHUFFLED = "circuits-shuffled-"
CIRCUITS = "circuits"
ATTRIBUTION = "circuits-attribution"


@dataclass(frozen=True)
class Cut:
    """A circuit on disk, or the record of a search that found none."""

    folder: Path
    facts: Facts

    @property
    def kind(self) -> CircuitKind:
        return self.facts.search.kind


@dataclass(frozen=True)
class Subject:
    """A model and its circuits: one column of a comparison."""

    name: str
    kind: str  # "sparse", "dense", "random weights", …
    run: Path
    loss: float | None  # validation, nats per token; of the run's own circuits
    cuts: tuple[Cut, ...]

    def find(self, task: str, kind: CircuitKind) -> Cut | None:
        same = (c for c in self.cuts if c.facts.task == task and c.kind == kind)
        return next(same, None)

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(c.facts.task for c in self.cuts))


def subjects(paths: Sequence[files.PathLike]) -> list[Subject]:
    """The models of these runs and circuit folders; the others are compared with the
    first."""
    found = [s for path in paths for s in _of(files.place(path))]
    if not any(s.cuts for s in found):
        where = ", ".join(map(str, paths))
        raise Refusal(
            f"wanted circuits to report on, found none in {where}. To search for one:\n"
            f"    sparsetx prune {paths[0]} --tasks single_double_quote"
        )
    return [s for s in found if s.cuts]


def _of(path: Path) -> Iterator[Subject]:
    if (path / circuit.JSON).is_file() or path.name == circuit.JSON:
        facts = circuit.load_facts(path)
        folder = path.parent if path.name == circuit.JSON else path
        run = circuit.run_of(folder, facts)
        kind = "one circuit" if facts.model.shuffled is None else "random weights"
        yield Subject(run.name, kind, run, None, (Cut(folder, facts),))
        return
    if not (path / CONFIG).is_file():
        raise Refusal(f"wanted a run or a circuit at {path}: there is neither")
    config = load_config(path)
    dense = config.sparsity.block == 1
    kind = "dense" if dense else "sparse"
    if dense and config.model.afrac is not None:
        kind = "dense with AbsTopK"
    own = tuple(_cuts(path / CIRCUITS))
    yield Subject(path.name, kind, path, validation_loss(path), own)
    for folder in sorted(path.glob(SHUFFLED + "*")):
        seed = folder.name.removeprefix(SHUFFLED)
        name = f"{path.name}, shuffled {seed}"
        yield Subject(name, "random weights", path, None, tuple(_cuts(folder)))
    ranked = tuple(_cuts(path / ATTRIBUTION))
    if ranked:
        name = f"{path.name}, by attribution"
        yield Subject(name, "ranked by attribution", path, None, ranked)


def _cuts(folder: Path) -> Iterator[Cut]:
    for path in files.inside(folder):
        if path.name == circuit.JSON:
            yield Cut(path.parent, circuit.load_facts(path.parent))


def validation_loss(run: Path) -> float | None:
    """The last validation loss in the run's metrics."""
    rows = metrics_log.read(run / METRICS)
    found = [row["validation_loss"] for row in rows if "validation_loss" in row]
    return float(found[-1]) if found else None
