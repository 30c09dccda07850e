"""The hidden checks of 04-context: what a query receives, and what is done with it.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.context.backward import memory_backward
from autograder.checks.context.beam import beam_search
from autograder.checks.context.coverage import coverage_attention
from autograder.checks.context.decoder import MendedDecoder
from autograder.checks.context.links import alignment_error
from autograder.checks.context.padded import padded_attention
from autograder.question import Question

QUESTIONS: list[Question] = [
    padded_attention,
    alignment_error,
    coverage_attention,
    memory_backward,
    beam_search,
    MendedDecoder,
]
