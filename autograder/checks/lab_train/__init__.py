"""The hidden checks of 07-lab-train: from tokens to a trained language model.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.lab_train.attention import CausalAttention
from autograder.checks.lab_train.decay import decay_groups
from autograder.checks.lab_train.learning_rate import learning_rate
from autograder.checks.lab_train.losses import losses
from autograder.checks.lab_train.mending import training_steps
from autograder.checks.lab_train.model import LanguageModel
from autograder.checks.lab_train.sampling import draw
from autograder.checks.lab_train.trained import next_logits
from autograder.checks.lab_train.windows import windows
from autograder.question import Question
from autograder.shell.limits import Limits

# 14.3 million parameters took 30 s in all on one busy core (22 November 2026); others may be slower.
LIMITS = Limits(check_seconds=60)

QUESTIONS: list[Question] = [
    windows,
    losses,
    learning_rate,
    decay_groups,
    CausalAttention,
    LanguageModel,
    training_steps,
    draw,
    next_logits,
]
