"""Dataclass trees: JSON and back, typed overrides, all errors at once."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.config import ModelConfig, RunConfig
from sparsetx.system import fields
from sparsetx.system.errors import Refusal

RUN = RunConfig()


@given(
    d_model=st.integers(1, 10**6),
    afrac=st.none() | st.floats(1e-6, 1),
    sites=st.lists(st.sampled_from(["q", "mlp_in"]), max_size=3),
    lr=st.floats(1e-9, 1e3),
    seed=st.integers(0, 2**31),
)
def test_json_round_trip(
    d_model: int, afrac: float | None, sites: list[str], lr: float, seed: int
) -> None:
    model = ModelConfig(d_model=d_model, afrac=afrac, afrac_sites=tuple(sites))
    optim = dataclasses.replace(RUN.optim, lr=lr)
    run = dataclasses.replace(RUN, seed=seed, model=model, optim=optim)
    text = json.dumps(fields.to_json(run), allow_nan=False)
    assert fields.from_json(RunConfig, json.loads(text), "x") == run


def test_absent_keys_take_their_defaults() -> None:
    assert fields.from_json(RunConfig, {}, "x") == RUN
    some = fields.from_json(RunConfig, {"optim": {"lr": 1}}, "x")
    assert (some.optim.lr, type(some.optim.lr)) == (1.0, float)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "seed", "optim", "lr", "d_model", "sparsity"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(value=JSON)
def test_hostile_json_is_a_tree_or_a_refusal(value: Any) -> None:
    try:
        tree = fields.from_json(RunConfig, value, "that file")
    except Refusal:
        return
    list(fields.offences(tree))
    assert isinstance(tree, RunConfig)


def test_deep_json_does_not_overflow() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = {"model": deep}
    with pytest.raises(Refusal, match=r"model\.model: there is no such key"):
        fields.from_json(RunConfig, deep, "x")


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("model.d_model=256", "model.d_model", 256),
        ("model.d_model=10_000", "model.d_model", 10_000),
        ("optim.lr=1e-3", "optim.lr", 1e-3),
        ("optim.lr=1", "optim.lr", 1.0),
        ("train.steps=1e4", "train.steps", 10_000),
        ("model.afrac=none", "model.afrac", None),
        ("model.afrac=null", "model.afrac", None),
        ("model.sink=true", "model.sink", True),
        ("model.sink=False", "model.sink", False),
        ("model.activation=relu", "model.activation", "relu"),
        ("model.afrac_sites=q, mlp_in", "model.afrac_sites", ("q", "mlp_in")),
        ("model.afrac_sites=('q',)", "model.afrac_sites", ("q",)),
        ("model.afrac_sites=", "model.afrac_sites", ()),
        ("data.name=stdlib", "data.name", "stdlib"),
        ("data.path=a=b", "data.path", "a=b"),
        (" seed = 7", "seed", 7),
    ],
)
def test_typed_overrides(assignment: str, path: str, value: Any) -> None:
    changed = fields.override(RUN, [assignment], "x")
    found = dict(fields.leaves(changed))[path]
    assert found == value
    assert type(found) is type(value)
    others = [p for p, _, _ in fields.diff(RUN, changed) if p != path]
    assert others == []


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.d_model", "wanted key.sub=value"),
        ("model.d_modl=3", "no key 'd_modl'; did you mean d_model or d_mlp"),
        ("zzz=3", "no key 'zzz'; known: seed, model, sparsity"),
        ("model=3", "a group, not a value; set one of its vocab_size, context"),
        ("seed.x=3", "seed holds a value and has no keys inside"),
        ("model.d_model=1.5", "model.d_model = 1.5: wanted a whole number"),
        ("model.d_model=true", "wanted a whole number"),
        ("model.d_model=none", "wanted a whole number"),
        ("model.sink=1", "model.sink = 1: wanted true or false"),
        ("model.afrac=many", "wanted a number or null"),
        ("model.activation=tanh", 'wanted "gelu" or "relu"'),
        ("optim.lr=fast", "optim.lr = fast: wanted a number"),
    ],
)
def test_refused_overrides(assignment: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        fields.override(RUN, [assignment], "that command")
    assert message in str(refused.value)


def test_every_offence_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        fields.override(RUN, ["model.x=1", "seed=y", "seed=3", "z"], "that command")
    assert str(refused.value).count("\n  - ") == 3
    value = {"model": {"d_modle": 1, "sink": 1, "afrac_sites": [1]}, "optim": 3}
    with pytest.raises(Refusal) as refused:
        fields.from_json(RunConfig, value, "that file")
    for part in (
        "model.d_modle: there is no such key; did you mean d_model",
        "model.sink = 1: wanted true or false",
        "model.afrac_sites = [1]: wanted a list of text",
        "optim: wanted an object with keys, got 3",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 0}, "m.d_model = 0: wanted 1 or more"),
        ({"d_model": True}, "m.d_model = true: wanted a whole number"),
        ({"afrac": 0.0}, "m.afrac = 0.0: wanted 0 or more and above 0 and at most 1"),
        ({"afrac": float("nan")}, "m.afrac = NaN: wanted"),
        ({"afrac": float("inf")}, "m.afrac = Infinity: wanted"),
        ({"activation": "tanh"}, 'm.activation = "tanh": wanted "gelu" or "relu"'),
        ({"afrac_sites": ["q"]}, 'm.afrac_sites = ["q"]: wanted a list of text'),
    ],
)
def test_values_out_of_range(change: dict[str, Any], message: str) -> None:
    model = dataclasses.replace(RUN.model, **change)
    assert [message in o for o in fields.offences(model, "m.")] == [True]


def test_diff_lists_what_differs() -> None:
    other = fields.override(RUN, ["seed=1", "model.afrac=none"], "x")
    assert fields.diff(RUN, other) == [("seed", 0, 1), ("model.afrac", 0.25, None)]
    assert fields.diff(RUN, RUN) == []


def test_every_setting_is_explained() -> None:
    for path, _, meaning in fields.explained(RUN):
        assert meaning, f"{path} has no help"


def test_shown_cuts_what_nobody_reads() -> None:
    assert fields.shown("x" * 100) == '"' + "x" * 56 + "..."
    assert fields.shown(object()).startswith('"<object')
