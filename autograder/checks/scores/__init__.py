"""The hidden checks of 02-scores: attention scores, one file for each question.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from autograder.checks.scores.additive import additive_scores
from autograder.checks.scores.backward import scaled_dot_backward
from autograder.checks.scores.energy import AdditiveEnergy
from autograder.checks.scores.location import location_features
from autograder.checks.scores.low_rank import low_rank_bilinear_scores
from autograder.checks.scores.scaled_dot import scaled_dot_scores
from autograder.checks.scores.stream import running_best_key
from autograder.question import Question

QUESTIONS: list[Question] = [
    scaled_dot_scores,
    low_rank_bilinear_scores,
    additive_scores,
    location_features,
    scaled_dot_backward,
    running_best_key,
    AdditiveEnergy,
]
