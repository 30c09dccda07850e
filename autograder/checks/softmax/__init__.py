"""The hidden checks of 03-softmax: from scores to weights.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.softmax.backward import tempered_softmax_backward
from autograder.checks.softmax.mending import attention_weights
from autograder.checks.softmax.sampling import straight_through_sample
from autograder.checks.softmax.sink import sink_softmax
from autograder.checks.softmax.smoothing import smoothed_cross_entropy
from autograder.checks.softmax.streaming import streamed_context
from autograder.checks.softmax.temperature import temperature_for
from autograder.question import Question

QUESTIONS: list[Question] = [
    smoothed_cross_entropy,
    temperature_for,
    tempered_softmax_backward,
    sink_softmax,
    straight_through_sample,
    streamed_context,
    attention_weights,
]
