"""The story of the known circuit: its scenes, and what each of them tries."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.page_data import Wishes, payload, story
from tests.circuits import compiled, handmade


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl")
    return payload(runs_and_circuits.subjects([run]), wishes)


@pytest.fixture(scope="module")
def scenes(told: dict[str, Any]) -> list[dict[str, Any]]:
    """As the page reads them."""
    found: list[dict[str, Any]] = json.loads(json.dumps(told["circuits"][0]["story"]))
    return found


def test_it_goes_from_the_difference_to_the_limits(
    scenes: list[dict[str, Any]],
) -> None:
    assert len(scenes) <= 6
    kinds = [scene["kind"] for scene in scenes]
    assert kinds[0] == story.DIFFERENCE
    assert kinds[-2:] == [story.ANSWERS, story.LIMITS]
    assert {story.ATTENTION, story.VALUE, story.NEURON} & set(kinds)
    assert all(scene["text"].endswith(".") for scene in scenes)


def test_its_sentences_hold_what_was_measured(
    told: dict[str, Any], scenes: list[dict[str, Any]]
) -> None:
    by_kind = {scene["kind"]: scene for scene in scenes}
    look = by_kind[story.ATTENTION]
    assert look["text"].startswith("At the last token, head 0 of layer 1 looks back: ")
    assert look["heads"] == [[1, 0]]
    value = by_kind[story.VALUE]
    said = "What head 0 of layer 1 brings is the quote type: on average "
    assert value["text"].startswith(said)
    assert value["text"].endswith("Value 0 alone carries 100% of the decision.")
    assert value["carrier"] == "v/1/0"
    nodes = {n["id"]: n for n in told["circuits"][0]["graph"]["nodes"]}
    direct = abs(nodes["attn_out/1/5"]["direct"])
    assert f"channel 5 alone adds {direct:.2f} nats" in by_kind[story.ANSWERS]["text"]


def test_what_is_tried_is_in_the_circuit(
    told: dict[str, Any], scenes: list[dict[str, Any]]
) -> None:
    kept = {f"{n.site}/{n.layer}/{n.index}" for n in compiled.CIRCUIT}
    for scene in scenes:
        assert bool(scene["acts"]) == bool(scene["does"])
        for kind, nodes in scene["acts"]:
            assert kind in (story.MEAN, story.PATCH, story.FREEZE)
            assert nodes
            assert set(nodes) <= kept
        assert set(scene["nodes"]) <= kept
    inside = [s for s in scenes if s["kind"] not in (story.DIFFERENCE, story.LIMITS)]
    assert all(scene["acts"] for scene in inside)


def test_the_limits_name_what_was_measured() -> None:
    rungs = [
        {"name": "mean", "figure": 0.1, "holds": True},
        {"name": "norms", "figure": 0.2, "holds": False},
        {"name": "mixtures", "figure": None, "holds": None},
    ]
    (both,) = story.limits(rungs)
    assert both.text == (
        "Is this part of the model enough? With all other nodes replaced by their "
        "averages, it still does the task; with the others replaced by their averages "
        "and norms held as in the whole model, it no longer does."
    )
    (lost,) = story.limits(rungs[1:])
    assert lost.text.startswith("Is this part of the model enough? With the others ")
    assert list(story.limits(rungs[2:])) == []


def test_without_measurements_there_is_no_story(run: Path) -> None:
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl", measured=False)
    (entry,) = payload(runs_and_circuits.subjects([run]), wishes)["circuits"]
    assert entry["story"] == []


def test_the_model_has_its_sites(told: dict[str, Any]) -> None:
    config = handmade.CONFIG
    assert told["sites"]["q"] == [config.n_layer, config.n_head * config.d_head]
    assert told["sites"]["mlp_neuron"] == [config.n_layer, config.d_mlp]
