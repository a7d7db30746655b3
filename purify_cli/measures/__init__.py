"""What is reported of predictions, as pure functions: shares (``metrics``) and how sure they are (``intervals``)."""

from purify_cli.measures.intervals import Proportion
from purify_cli.measures.metrics import accuracy, attack_success, per_class_recall, target_rate

__all__ = ["Proportion", "accuracy", "attack_success", "per_class_recall", "target_rate"]
