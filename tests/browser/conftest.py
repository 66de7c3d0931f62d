"""Fixtures of the browser tests, which only run when this folder is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.page import page
from sparsetx.circuits.report.page_data import Wishes, payload
from tests import runs
from tests.browser import cdp, synthetic
from tests.circuits import handmade, known

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(a.partition("::")[0]).absolute() for a in config.args)
    return None if any(p.is_relative_to(HERE) for p in named) else True


@pytest.fixture(scope="session")
def browser() -> Iterator[cdp.Browser]:
    path = cdp.executable()
    if path is None:
        pytest.fail(cdp.INSTALL)
    with cdp.started(path) as found:
        yield found


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with 2,000 edges, in which every text is hostile."""
    path = tmp_path_factory.mktemp("page") / "large.html"
    path.write_text(page(synthetic.payload()))
    return path.as_uri()


@pytest.fixture(scope="session")
def known_told() -> dict[str, Any]:
    """The page's data of the compiled model and its known circuit."""
    run = runs.once("known", lambda folder: known.made(folder) and None) / "run"
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl")
    return payload(runs_and_circuits.subjects([run]), wishes)


@pytest.fixture(scope="session")
def known_page(
    known_told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> str:
    path = tmp_path_factory.mktemp("page") / "known.html"
    path.write_text(page(known_told))
    return path.as_uri()


@pytest.fixture
def desk(browser: cdp.Browser, large: str) -> Iterator[cdp.Page]:
    """The page at desktop size; fails if it had errors or requested anything else."""
    found = browser.page(1440, 900)
    found.open(large)
    yield found
    complaints, requests = found.complaints(), found.requests()
    found.close()
    assert complaints == []
    assert {r.partition("#")[0] for r in requests} == {large}


@pytest.fixture(scope="session")
def told() -> dict[str, Any]:
    """The data of a page of the compiled model, with a circuit of two kinds."""
    run = runs.once("known-kinds", known.made_of_two_kinds) / "run"
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl")
    return payload(runs_and_circuits.subjects([run]), wishes)


@contextmanager
def opened(
    browser: cdp.Browser, told: dict[str, Any], path: Path, wide: int = 1280
) -> Iterator[cdp.Page]:
    """The page of this data; fails if it had errors or requested anything else."""
    path.write_text(page(told))
    found = browser.page(wide, 900)
    found.open(path.as_uri())
    yield found
    complaints, requests = found.complaints(), found.requests()
    found.close()
    assert complaints == []
    assert {r.partition("#")[0] for r in requests} == {path.as_uri()}
