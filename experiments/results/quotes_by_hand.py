"""The circuit of quotes, written down by sparsetx: 11 nodes, 9 edges.

Every kept node is a statement, named after what it was seen to do. Pruned nodes are
folded into constants.

SAYS holds what a token alone decides: REST is for all tokens of the vocabulary that are
not listed.

It gives the circuit's calibrated answers on all 32 pairs of the test pool, within 1e-05
(of the larger of 1 and the logit).
"""

import math
import sys

import numpy as np

REST = None  # any other word
SAYS = {
    "quote_type_read_0": {'("': 0.970142, REST: 0.0},
    "quote_type_read_1": {"('": 0.970142, REST: 0.0},
    "others": {"<|endoftext|>": 64.0, '")\n': 64.0, "')\n": 64.0, REST: 68.0},
}


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def rms(others, *channels):
    return np.sqrt((others + sum(x**2 for x in channels)) / 16 + 1.19209e-07)


def look_back(scores, shape, sink=-np.inf):
    """How much the last token, or each in its turn, looks at those up to itself."""
    scores = np.broadcast_to(scores, shape)
    if scores.ndim == 2:
        scores = np.where(np.tril(np.ones(shape, bool)), scores, -np.inf)
    top = np.maximum(scores.max(-1, keepdims=True), sink)
    looks = np.exp(scores - top)
    return looks / (looks.sum(-1, keepdims=True) + np.exp(sink - top))


def answer_logits(tokens):
    """{answer: calibrated logit} after a prompt, given as strings."""
    words, logits = list(tokens), {}
    n = len(words)
    if not words:
        raise ValueError("wanted a prompt, at least one word")

    def told(what, where=words):
        says = SAYS[what]
        return np.array([says[w] if w in says else says[REST] for w in where])

    def last(what):
        return told(what, words[-1:])[0]

    # --- layer 0, MLP
    # quote type: fires on `("`, not on `('`: +0.97 / 0 (AUC 1.00 between them)
    quote_type_read_0 = told("quote_type_read_0")
    # quote type: fires on `('`, not on `("`: 0 / +0.97 (AUC 1.00 between them)
    quote_type_read_1 = told("quote_type_read_1")
    # quote detector: fires on `("` and `('` (AUC 1.00 against other tokens)
    quote_detector_neuron = gelu(
        8.0 * quote_type_read_0 + 8.0 * quote_type_read_1 - 4.0
    )
    # quote type: fires on `("`, not on `('`: +3.8 / 0 (AUC 1.00 between them)
    quote_type_neuron = gelu(8.0 * quote_type_read_0 - 4.0)
    # quote detector: fires on `("` and `('` (AUC 1.00 against other tokens)
    quote_detector_write = 0.5 * quote_detector_neuron
    # quote type: tells `("` from `('`: +1.9 / -1.9 (AUC 1.00)
    quote_type_write = -0.5 * quote_detector_neuron + quote_type_neuron

    # --- layer 1, attention
    rms_attn_1 = rms(told("others"), quote_detector_write, quote_type_write)
    # quote detector: fires on `("` and `('` (AUC 1.00 against other tokens)
    quote_detector_read = quote_detector_write / rms_attn_1
    # quote type: tells `("` from `('`: +0.87 / -0.87 (AUC 1.00)
    quote_type_read_4 = quote_type_write / rms_attn_1
    # quote detector: fires on `("` and `('` (AUC 1.00 against other tokens)
    quote_detector_key = 4.0 * quote_detector_read
    # quote type: tells `("` from `('`: +0.87 / -0.87 (AUC 1.00)
    quote_type_value = quote_type_read_4
    looks_1_0 = look_back(4.0 * quote_detector_key, n)
    # quote type at the end: at the last token +1.7 / -1.7 after `("` and `('` (AUC
    # 1.00)
    quote_type_at_the_end_write = 2.0 * looks_1_0 @ quote_type_value

    # --- the answers
    rms_final_0 = rms(
        last("others"), quote_detector_write[-1], quote_type_write[-1],
        quote_type_at_the_end_write
    )
    logits['")\n'] = 4.0 * quote_type_at_the_end_write / rms_final_0
    logits["')\n"] = -4.0 * quote_type_at_the_end_write / rms_final_0
    return logits


EXAMPLE = ["<|endoftext|>", " word12", " word9", " word9", " word10", '("', " word13"]

if __name__ == "__main__":
    for answer, logit in answer_logits(sys.argv[1:] or EXAMPLE).items():
        print(f"{logit:9.4f}  {answer!r}")
