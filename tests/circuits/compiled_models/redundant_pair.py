"""Two heads look up the same quote and have the same vote: each is enough by itself.

With one head alone, the other at its mean or between its value and its mean, the answer
is right: plain and honest losses are low. But a circuit of one head claims that the
other does not matter, and it does: with the other head as on another prompt the two
votes may cancel. So the values and writes of both belong to a faithful circuit.

Not both keys do. A head whose value is kept can only say something true about its own
prompt: if its key comes from another prompt, it attends to a token that has no kind,
and is silent. One head that looks up properly is then enough, and either will do. So
there are two smallest faithful circuits.
"""

from sparsetx import nodes
from tests.circuits.compiled_models import base
from tests.circuits.compiled_models.base import ANSWER, ANSWER_2, Compiled


def model() -> Compiled:
    tree = base.weights()
    base.add_lookup(tree, 0, ANSWER, 1.2)
    base.add_lookup(tree, 1, ANSWER_2, 1.2)
    first, second = base.lookup(0, ANSWER), base.lookup(1, ANSWER_2)
    both = first | second
    keys = [base.of_head(nodes.K, head) for head in (0, 1)]
    smallest = tuple(both - {key} for key in keys)
    return Compiled("redundant pair", tree, both, smallest, first)
