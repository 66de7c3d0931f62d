"""Two algorithms agree on the train pool, and only one is right where they differ.

Head 0 looks up the opening quote, with a strength of 2; head 1 averages all quotes with
a strength of 0.85, by one edge less. Without an earlier string both give the same
answer; with an earlier string of the other kind, head 1 gives the wrong one, and head 0
outvotes it: the model is right.

A faithful circuit contains head 0, and need not contain head 1: what head 1 says on
another prompt, head 0 outvotes too. This shows on prompts on which the two agree:
resampling makes them disagree. With head 1 alone the plain and the honest loss are low
on train and val, since what is left of head 0 agrees; but with head 0 as on another
prompt head 1 is outvoted, and on the test pool's distractors it is wrong.
"""

from tests.circuits.compiled_models import base
from tests.circuits.compiled_models.base import ANSWER, ANSWER_2, KIND, Compiled


def model() -> Compiled:
    tree = base.weights()
    base.add_lookup(tree, 0, ANSWER, 2)
    base.add_bag(tree, 1, KIND, ANSWER_2, 0.85)
    right, wrong = base.lookup(0, ANSWER), base.bag(1, KIND, ANSWER_2)
    return Compiled("two algorithms", tree, right | wrong, (right,), wrong)
