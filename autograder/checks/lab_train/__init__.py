"""The hidden checks of 07-lab-train: training a language model, and the model itself."""

from autograder.checks.lab_train.trained import next_logits
from autograder.question import Question
from autograder.shell.limits import Limits

# 14.3 million parameters took 25 s in all on one busy core (22 November 2026); others may be slower.
LIMITS = Limits(check_seconds=60)

QUESTIONS: list[Question] = [next_logits]
