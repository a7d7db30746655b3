"""What is reported of predictions, as pure functions.

``metrics`` counts shares, ``intervals`` says how sure a share is, ``bootstrap`` how sure a difference of two shares on
the same rows is, or a mean over suspects, ``consistency`` how alike two models answer row by row, ``utility`` what a
model is still good for on clean rows.
"""

from purify_cli.measures.bootstrap import Difference, paired_difference
from purify_cli.measures.consistency import Consistency, consistency
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.metrics import accuracy, attack_success, per_class_recall, per_class_share, target_rate
from purify_cli.measures.utility import TokenLoss, Utility

__all__ = [
    "Consistency",
    "Difference",
    "Proportion",
    "TokenLoss",
    "Utility",
    "accuracy",
    "attack_success",
    "consistency",
    "paired_difference",
    "per_class_recall",
    "per_class_share",
    "target_rate",
]
