"""Two heads outside the algorithm say the same with opposite signs: nothing on net.

Head 0 looks up the opening quote and answers. Heads 1 and 2 average the topic, and
write it to two channels that count for opposite answers, three times as strong as the
answer. Left out together, at their means or both as on one other prompt, they cancel:
the plain loss is low. Whatever moves one and not the other decides the answer.

Must a circuit contain them? It claims that nodes outside of it may be anything that
they can be without changing the answer. Each of the four (two values, two writes) can
change it alone, so leaving them out claims something false; that they have always been
equal is a fact about the model on which its answer depends. So they belong to a
faithful circuit, by resampling apart and by stochastic ablation (H) alike. What they
say does not matter, only that they say the same: the read of the topic, which both
share, may be left out, since they cancel whatever it says.
"""

from sparsetx import nodes
from tests.circuits.compiled_models import base
from tests.circuits.compiled_models.base import (
    AGAINST,
    ANSWER,
    ANSWER_2,
    TOPIC,
    Compiled,
)

LOOP = frozenset(
    {
        base.of_head(nodes.V, 1),
        base.of_head(nodes.V, 2),
        base.write(ANSWER_2),
        base.write(AGAINST),
    }
)


def model() -> Compiled:
    tree = base.weights()
    base.add_lookup(tree, 0, ANSWER, 1.5)
    base.add_bag(tree, 1, TOPIC, ANSWER_2, 4.5)
    base.add_bag(tree, 2, TOPIC, AGAINST, 4.5)
    answer = base.lookup(0, ANSWER)
    smallest = answer | LOOP
    parts = smallest | {base.read(TOPIC)}
    return Compiled("cancelling loop", tree, parts, (smallest,), answer)
