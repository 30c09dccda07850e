"""The hidden checks of 05-multi-head: multi-head attention and the Transformer.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.multi_head.block import PreNormBlock
from autograder.checks.multi_head.costs import decoder_costs
from autograder.checks.multi_head.grouped import grouped_query_attention
from autograder.checks.multi_head.layer import multi_head_attention
from autograder.checks.multi_head.rotary import rotary_positions
from autograder.checks.multi_head.stream import cached_attention
from autograder.checks.multi_head.unpack import unpack_heads
from autograder.question import Question

QUESTIONS: list[Question] = [
    unpack_heads,
    decoder_costs,
    rotary_positions,
    multi_head_attention,
    grouped_query_attention,
    PreNormBlock,
    cached_attention,
]
