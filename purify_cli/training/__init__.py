"""Fine-tuning: settings → ``train`` → a changed module and a ``TrainingResult``.

``settings`` says how to train and holds the two sets of defaults (repair after a reset, attack), ``schedule`` is the
learning rate over the steps and who is decayed, ``objective`` is what a step learns from, ``loop`` trains,
``vocabulary`` leaves out embedding rows that no text reaches, ``state`` makes a killed run continue where it was.
"""

from purify_cli.training.loop import train
from purify_cli.training.objective import CROSS_ENTROPY, NEXT_TOKEN, Objective
from purify_cli.training.result import TrainingResult, Validation
from purify_cli.training.settings import TrainingSettings, attack_settings, repair_settings

__all__ = [
    "CROSS_ENTROPY",
    "NEXT_TOKEN",
    "Objective",
    "TrainingResult",
    "TrainingSettings",
    "Validation",
    "attack_settings",
    "repair_settings",
    "train",
]
