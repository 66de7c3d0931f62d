"""The answer needs a node that is constant in the task and not in text.

Both heads ask only at the end mark, with which every prompt of the task ends and few
texts do. Head 0 then looks up the opening quote. Head 1 then rests on the first token,
where it finds nothing; at all other tokens it averages quotes.

So head 1 never answers in this task. But its query's mean over text is small: with the
query ablated to it, head 1 averages quotes in the task too, and gives the answer by two
edges, where head 0 needs four. Its plain loss is low on train and val. With its query
as on any other prompt of the task, or as it is, head 1 is silent.

Head 0 needs its query and the read of the end mark: at their means over text it
averages as well, too weakly. Resampling cannot show that, since they are the same on
all prompts: judged by resampling alone, they could be left out. F, which includes mean
ablation, keeps them.
"""

from sparsetx import nodes
from tests.circuits.compiled_models import base
from tests.circuits.compiled_models.base import (
    ANSWER,
    ANSWER_2,
    BEGUN,
    ENDED,
    KIND,
    Compiled,
)

CONSTANT = frozenset({base.read(ENDED), base.of_head(nodes.Q, 0)})


def model() -> Compiled:
    tree = base.weights()
    base.add_lookup(tree, 0, ANSWER, 1.5)
    base.ask_only_at_end(tree, 0)
    base.add_key(tree, 1, BEGUN)
    base.ask_only_at_end(tree, 1)
    base.add_bag(tree, 1, KIND, ANSWER_2, 0.9)
    right = base.lookup(0, ANSWER) | CONSTANT
    wrong = base.bag(1, KIND, ANSWER_2)
    rests = {
        base.read(BEGUN), base.of_head(nodes.Q, 1), base.of_head(nodes.K, 1)
    }  # fmt: skip
    return Compiled("constant node", tree, right | wrong | rests, (right,), wrong)
