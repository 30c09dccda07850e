"""The hidden checks of 07-lab-train: training a language model, and the model itself."""

from autograder.checks.lab_train.trained import next_logits
from autograder.question import Question
from autograder.shell.limits import Limits

# A model of 15 million parameters takes about SECONDS_TO_FILL_IN for its 576 prefixes on one core.
LIMITS = Limits(check_seconds=60)

QUESTIONS: list[Question] = [next_logits]
