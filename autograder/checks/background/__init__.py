"""The hidden checks of 01-background: from language models to attention, one file for each question.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.background.gradients import gradients_by_path
from autograder.checks.background.gru import gru_last_states
from autograder.checks.background.leave_one_out import leave_one_out_loss
from autograder.checks.background.loss import NextTokenLoss
from autograder.checks.background.nearest import nearest_weights
from autograder.checks.background.perplexity import perplexity_and_bits
from autograder.checks.background.teacher import teacher_forcing_batch
from autograder.question import Question

QUESTIONS: list[Question] = [
    teacher_forcing_batch,
    perplexity_and_bits,
    nearest_weights,
    leave_one_out_loss,
    gru_last_states,
    gradients_by_path,
    NextTokenLoss,
]
