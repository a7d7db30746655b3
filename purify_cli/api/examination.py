"""``detect`` and ``evaluate`` as functions."""

from collections.abc import Mapping
from os import fspath
from typing import Any, Unpack

from purify_cli.api.options import RUN, Effort, Name, Options, common, origin, settings_text, text
from purify_cli.commands import detect as detecting
from purify_cli.commands import evaluate as evaluating
from purify_cli.commands.causal_evaluate import CausalEvaluateRequest, about_language, causal_evaluate
from purify_cli.commands.detect import DetectRequest
from purify_cli.commands.evaluate import EvaluateRequest
from purify_cli.comparison.trigger_options import pair_options
from purify_cli.data.triggers import Position
from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.records.detection import Detection
from purify_cli.records.evaluation import CausalEvaluation, Evaluation
from purify_cli.session.origin import DETECTABLE, EVALUABLE

__all__ = ["detect", "evaluate"]


def detect(
    suspect: Name | None = None,
    reference: Name | None = None,
    *,
    clean_data: Name | None = None,
    unlabelled: bool = False,
    effort: Effort = "normal",
    indicator: str | None = None,
    settings: Mapping[str, Any] | None = None,
    run: Name = RUN,
    progress: Progress = SILENT,
    **options: Unpack[Options],
) -> Detection:
    """Compare a suspect with its reference: what differs, which words flip it, which dimensions drifted out of line.

    Args:
        suspect: None takes the model of the run folder.
        reference: None takes that of the run folder's record.
        clean_data: Small trusted labelled data; None measures on built-in texts.
        unlabelled: Whether the clean data have no labels.
        effort: How much the search for triggers looks at.
        indicator: How dimensions are scored.
        settings: The indicator's own.
        run: Folder for the results.
        progress: Told of the stages.
        **options: Device, precision, seed, batches, columns.

    Raises:
        PurifyError: If suspect, reference or data cannot be used.
    """
    return detecting.detect(
        DetectRequest(
            origin=origin(suspect, reference, run, DETECTABLE),
            clean_data=text(clean_data),
            unlabelled=unlabelled,
            effort=None if effort == "none" else effort,
            indicator=indicator,
            settings=settings_text(settings),
            common=common(options, batch_size=16),
        ),
        progress,
    )


def evaluate(
    *models: Name,
    data: Name,
    trigger: str | None = None,
    position: Position | None = None,
    target: str | int | None = None,
    target_text: str | None = None,
    reference: Name | None = None,
    floor: Name | None = None,
    run: Name = RUN,
    progress: Progress = SILENT,
    **options: Unpack[Options],
) -> Evaluation | CausalEvaluation:
    """Measure accuracy and attack success of models side by side; of language models the loss and what they write.

    Args:
        models: None takes the suspect and the purified model of the run folder.
        data: Labelled rows; for language models prompts and completions, or texts.
        trigger: Put into rows; None takes that of the attack recorded in the run folder, if there is one.
        position: Where; None is the attack's, else a random place.
        target: Label that the trigger is to bring about, as a number or a name.
        target_text: For language models: what the continuation is to contain.
        reference: Whose tokenizer reads the texts.
        floor: A model that was never poisoned, measured on the same inputs.
        run: Folder for the results.
        progress: Told of the stages.
        **options: Device, precision, seed, batches, columns.

    Raises:
        PurifyError: If models or data cannot be used.
    """
    named = tuple(fspath(model) for model in models)
    found, shared = origin(named[0] if named else None, reference, run, EVALUABLE), common(options, batch_size=64)
    if about_language(named, found, shared):
        if target is not None:
            raise UsageError("a language model has no target label", hint="Give target_text.")
        return causal_evaluate(
            CausalEvaluateRequest(
                models=named,
                origin=found,
                data=fspath(data),
                trigger=trigger,
                position=position,
                target_text=target_text,
                floor=text(floor),
                common=shared,
            ),
            progress,
        )
    if target_text is not None:
        raise UsageError("a classifier writes no text", hint="Give target.")
    places: list[Position] = [position] if position else []
    chosen = ([trigger] if trigger else [], places, [] if target is None else [str(target)])
    return evaluating.evaluate(
        EvaluateRequest(
            models=named,
            origin=found,
            data=fspath(data),
            triggers=pair_options(*chosen, [], bias=False),
            floor=text(floor),
            common=shared,
        ),
        progress,
    )
