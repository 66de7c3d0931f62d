"""One head finds the opening quote by two detectors, and either is enough.

Both keys of the head say where the quote is. With one of them, and the other as on
another prompt, the head attends half to the quote and half to a word, which says
nothing: the answer is half as strong, which is enough. So there are two smallest
faithful circuits, one with each detector.

With neither, mean ablation leaves a uniform attention: the head averages all quotes,
and its strength of 8 makes up for that. On train and val the plain loss is low. But the
detectors of another prompt point to a word, and the answer is gone; and with a
distractor the average is wrong.
"""

from sparsetx import nodes
from tests.circuits.compiled_models import base
from tests.circuits.compiled_models.base import (
    ANSWER,
    DETECTOR,
    DETECTOR_2,
    KIND,
    Compiled,
)


def model() -> Compiled:
    tree = base.weights()
    base.add_key(tree, 0, DETECTOR, 0)
    base.add_key(tree, 0, DETECTOR_2, 1)
    base.add_value(tree, 0, KIND, ANSWER, 8)
    neither = base.bag(0, KIND, ANSWER)
    each = [
        frozenset({base.read(channel), base.of_head(nodes.K, 0, number)})
        for number, channel in enumerate((DETECTOR, DETECTOR_2))
    ]
    smallest = tuple(neither | own for own in each)
    parts = neither.union(*each)
    return Compiled("either detector", tree, parts, smallest, neither)
