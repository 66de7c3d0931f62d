"""Paths: the strongest first, none twice, none missing."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sparsetx.circuits.explain.graph_parts import Connections, best_paths

NAMES = "abcdef"  # connections go from earlier letters to later ones
PAIRS = list(itertools.combinations(NAMES, 2))
VALUES = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])


@st.composite
def connections(draw: st.DrawFn) -> Connections:
    joined = draw(st.lists(st.sampled_from(PAIRS), unique=True, max_size=10))
    ways = [(a, b, draw(st.sampled_from([-2.0, 3.0])), draw(VALUES)) for a, b in joined]
    costs = {name: draw(st.none() | VALUES) for name in NAMES}
    links = [way[:2] for way in ways[1::2]]
    return Connections(costs, ways[::2], links, {"a", "b"}, {"f"})


def every(found: Connections) -> dict[tuple[str, ...], tuple[float, int]]:
    """All paths by brute force: all ordered subsets of the letters."""
    passes = {(a, b): (cost or 0, weight) for a, b, weight, cost in found.weights}
    passes |= {way: (float("inf"), 1.0) for way in found.links}
    paths = {}
    for count in range(1, len(NAMES) + 1):
        for path in itertools.combinations(NAMES, count):
            steps = list(itertools.pairwise(path))
            if path[0] not in found.starts or path[-1] not in found.ends:
                continue
            if any(step not in passes for step in steps):
                continue
            costs = [found.costs[name] for name in path]
            parts = [cost for cost in costs if cost is not None]
            parts += [passes[step][0] for step in steps]
            down = sum(passes[step][1] < 0 for step in steps)
            paths[path] = min(parts, default=float("inf")), (-1) ** down
    return paths


@given(connections(), st.integers(1, 40))
def test_the_strongest_paths_are_found(found: Connections, most: int) -> None:
    wanted = every(found)
    listed = list(best_paths(found, most))
    assert len(listed) == min(most, len(wanted))
    assert len({path.nodes for path in listed}) == len(listed)
    for path in listed:
        assert (path.strength, path.sign) == wanted[path.nodes]
    strongest = sorted((strength for strength, _ in wanted.values()), reverse=True)
    assert [path.strength for path in listed] == strongest[: len(listed)]


def test_weights_count_where_no_costs_were_measured() -> None:
    ways = [("a", "f", -3.0, None), ("b", "f", 2.0, None)]
    found = best_paths(Connections({}, ways, [], {"a", "b"}, {"f"}), 9)
    assert [(p.nodes, p.strength, p.sign) for p in found] == [
        (("a", "f"), 3.0, -1),
        (("b", "f"), 2.0, 1),
    ]
