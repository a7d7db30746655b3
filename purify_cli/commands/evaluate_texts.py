"""``purify evaluate`` for causal language models: what they write, and how well they predict clean text."""

from collections.abc import Mapping, Sequence
from os import fspath
from typing import cast

from purify_cli.choices import Position
from purify_cli.data.continuations import load_texts
from purify_cli.data.triggers import Trigger
from purify_cli.errors import UsageError
from purify_cli.evaluation.prompts import Prompts, PromptSpec, Wanted
from purify_cli.inputs.identity import ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import architecture, open_model
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import causal_task, require_causal
from purify_cli.model import load_tokenizer
from purify_cli.model.causal import is_causal
from purify_cli.records.attack import AttackRecord
from purify_cli.records.evaluation import Evaluation, TextModelMeasurement, TextTrigger
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.readers import many
from purify_cli.storage.origin import Origin
from purify_cli.storage.ownership import require_own_files
from purify_cli.storage.record_files import find_record, save_record

__all__ = ["evaluate_texts", "writes"]


def writes(request: EvaluateRequest, origin: Origin) -> bool:
    """Tell whether the first model of a command is a causal language model.

    Raises:
        CheckpointError: If it cannot be read.
    """
    common = request.common
    checkpoint = open_model(origin.suspect, common)
    base = None
    if checkpoint.config is None and origin.reference is not None:
        base = open_model(origin.reference, common, vocabulary=checkpoint.vocabulary).config
    return is_causal(checkpoint, base)


def evaluate_texts(request: EvaluateRequest, origin: Origin, named: Mapping[str, ModelFacts]) -> Evaluation:
    """Measure perplexity, and attack success where a trigger is known, of every model on the same texts.

    Raises:
        PurifyError: If a model, the texts, the trigger or the target cannot be used.
    """
    run, common, progress = origin.run, request.common, request.progress
    trigger, wanted = _target(request, run)
    rows = load_texts(request.data, common.columns)
    spec = PromptSpec(trigger=trigger, wanted=wanted, new_tokens=request.new_tokens)
    prompts: Prompts | None = None
    found: list[TextModelMeasurement] = []
    if request.floor is not None:
        named = {**named, "floor": ModelFacts.named(request.floor)}
    require_own_files(run, "evaluation.json")
    with run.logged("evaluate", {"models": [facts.path for facts in named.values()], "data": fspath(request.data)}):
        for name, facts in progress.track(named.items(), "measuring models", total=len(named)):
            checkpoint = open_model(facts, common)
            base = architecture(checkpoint, origin.reference, common)
            require_causal(checkpoint, base)
            task = causal_task(base, load_tokenizer(base.files, rows=checkpoint.vocabulary), common)
            mine = task.ask(rows, spec)
            if prompts is not None and (mine.clean, mine.triggered, mine.texts) != (
                prompts.clean,
                prompts.triggered,
                prompts.texts,
            ):
                raise UsageError(
                    f"{name} reads the texts as other tokens than the model before it",
                    hint="Models are compared on the same tokens: give --ref, or evaluate them one by one.",
                )
            prompts = mine
            measured = task.measure(task.load(checkpoint), mine, progress)
            found.append(TextModelMeasurement.of(name, model_facts(checkpoint), measured))
        floor = found.pop() if request.floor is not None else None
        record = Evaluation(
            task="causal",
            versions=versions(),
            seed=common.compute.seed,
            run=str(run.path),
            settings={
                "max_length": common.compute.max_length,
                "batch_size": common.compute.batch_size,
                "prompt_words": common.prompt_words,
                "new_tokens": request.new_tokens,
            },
            data=data_facts(request.data, rows),
            trigger=TextTrigger.of(trigger, wanted) if trigger and wanted else None,
            natural=prompts.natural if prompts else 0,
            dropped=prompts.dropped if prompts else 0,
            models=found,
            floor=floor,
        )
        save_record(run, record)
    return record


def _target(request: EvaluateRequest, run: RunFolder) -> tuple[Trigger | None, Wanted | None]:
    """Take trigger and target from the options, else from the attack recorded in the run folder."""
    given = request.target_text is not None or request.target_regex is not None
    word, position = _one(request.trigger, "--trigger"), cast("Position | None", _one(request.position, "--position"))
    if (word is None) == given:
        raise UsageError(
            "a trigger needs a target, and a target a trigger",
            hint="Give --trigger, and --target-text or --target-regex.",
        )
    if word is not None:
        return Trigger(word, position or "random"), Wanted(text=request.target_text, regex=request.target_regex)
    if position is not None:
        raise UsageError("--position needs a trigger", hint="Give --trigger, and --target-text or --target-regex.")
    attack = find_record(run, AttackRecord)
    known = None if attack is None else attack.text_trigger
    if known is None:
        return None, None
    request.progress.note(f"trigger {known.text!r} taken from attack.json in {run.path}")
    return Trigger(known.text, known.position), Wanted(text=known.target_text, regex=known.target_regex)


def _one(values: str | Sequence[str], name: str) -> str | None:
    """Return the only value of a repeatable option.

    Raises:
        UsageError: If there are several.
    """
    several = many(values)
    if len(several) > 1:
        raise UsageError(
            f"{name} was given {len(several)} times", hint="A language model is measured under one trigger at a time."
        )
    return several[0] if several else None
