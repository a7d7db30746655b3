"""Model × data × trigger → measurements.

``question`` fixes what is asked (rows as given, and rows with the trigger) once, ``forward`` lets a model answer,
``measurement`` counts. Every model of a comparison answers the same question.
"""

from purify_cli.evaluation.forward import predict, scores
from purify_cli.evaluation.measurement import (
    Measurement,
    Triggered,
    measure,
    measure_triggered,
)
from purify_cli.evaluation.question import Question, ask

__all__ = [
    "Measurement",
    "Question",
    "Triggered",
    "ask",
    "measure",
    "measure_triggered",
    "predict",
    "scores",
]
