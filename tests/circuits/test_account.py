"""The account of the known circuit: what it says, and of which nodes."""

import pytest

from sparsetx.circuits import ablate, account, describe, effects, graph, watch
from sparsetx.circuits.account import Step
from sparsetx.circuits.circuit import Circuit, name_of
from tests.circuits import broken, compiled
from tests.circuits.test_circuit import ASKED, made
from tests.circuits.test_describe import token
from tests.circuits.test_graph import drawn


def told(found: Circuit, measured: bool = True) -> list[Step]:
    few = compiled.question(8, 5)
    sample = watch.of(found, ASKED.tokens_BL, ASKED.position_B)
    each = describe.of(sample, found.nodes, token)
    named = {name_of(node): one for node, one in each.items()}
    whole = graph.of(found, few, effects.of(found, few) if measured else None)
    return account.of(whole, named, describe.heads(sample, token), sample, token)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return told(made())


def test_the_known_circuit_is_told_from_the_quote_to_the_answer(
    steps: list[Step],
) -> None:
    differ, kind, detector, head, answer = steps
    assert differ.text == (
        "The two prompts of a pair differ in one token: `(\"` in A, `('` in B."
    )
    assert kind.text.startswith(
        "Neuron 1 of layer 0 reads channel 0 and writes to channel 4. "
        "It is the quote type: fires on `(\"`, not on `('`"
    )
    assert kind.nodes == ("mlp_neuron/0/1", "mlp_in/0/0", "mlp_out/0/4")
    assert "It is a quote detector: fires on `(\"` and `('`" in detector.text
    assert head.text.startswith(
        "Head 0 of layer 1 looks back from the last token to where the prompts differ, "
        "with 100% of the attention (its keys are a quote detector); its values are "
        "the quote type, which goes into channel 5."
    )
    assert head.nodes == ("k/1/0", "v/1/0", "attn_out/1/5")
    assert answer.text.startswith(
        "The answer is read off channel 5 as the attention of layer 1 leaves it, "
    )
    assert answer.text.endswith("nats of logit towards the right one.")


def test_nodes_of_a_step_are_in_the_circuit(steps: list[Step]) -> None:
    names = {name_of(node) for node in made().nodes}
    assert {name for step in steps for name in step.nodes} <= names


def test_without_effects_there_is_no_account() -> None:
    assert told(made(), measured=False) == []


def test_a_head_without_values_is_told_as_one() -> None:
    config, params = broken.SINK_CONFIG, broken.sink_head()
    means = ablate.means(config, params, compiled.corpus())
    found = drawn(config, params, broken.SINK_CIRCUIT, means)
    (text,) = [step.text for step in told(found) if step.text.startswith("Head")]
    assert "its values are not kept: only how much it looks counts" in text


def test_a_twin_is_told_with_its_twin() -> None:
    kept = compiled.CIRCUIT | broken.OWN_OF_TWIN
    found = drawn(compiled.CONFIG, broken.twin_head(), kept)
    heads = [step.text for step in told(found) if step.text.startswith("Head")]
    assert heads[0].startswith("Heads 0 and 1 of layer 1 look back from the last token")
