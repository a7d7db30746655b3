"""Model × data × trigger → measurements.

``question`` fixes what is asked (rows as given, and the same rows with the trigger) once, ``forward`` lets a model
answer, ``measurement`` counts. Every model of a comparison answers the same question.
"""

from purify_cli.evaluation.forward import predict
from purify_cli.evaluation.measurement import Measurement, evaluate_model, evaluate_models, measure
from purify_cli.evaluation.question import Question, ask

__all__ = ["Measurement", "Question", "ask", "evaluate_model", "evaluate_models", "measure", "predict"]
