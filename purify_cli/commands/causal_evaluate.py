"""``purify evaluate`` for causal language models: what they write, and how well they predict clean text."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.data.continuations import load_texts
from purify_cli.data.triggers import Trigger
from purify_cli.errors import UsageError
from purify_cli.evaluation.prompts import NEW_TOKENS, Prompts, Wanted
from purify_cli.model.causal import is_causal, load_causal
from purify_cli.progress import SILENT, Progress
from purify_cli.records.attack import CausalAttackRecord
from purify_cli.records.base import ModelFacts
from purify_cli.records.evaluation import CausalEvaluation, TextModelMeasurement
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.session.language_models import (
    PromptSpec,
    ask_texts,
    measured_text,
    require_causal,
    text_facts,
    text_trigger,
)
from purify_cli.session.opening import Common, data_facts, model_facts, open_model, require_config, versions
from purify_cli.session.origin import Origin
from purify_cli.session.ownership import claim

__all__ = ["CausalEvaluateRequest", "about_language", "causal_evaluate"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CausalEvaluateRequest:
    """What the user asked for."""

    models: tuple[str, ...]
    """Named models; empty where a record names them."""
    origin: Origin
    data: str
    trigger: str | None = None
    position: Literal["start", "end", "random", "scattered"] | None = None
    target_text: str | None = None
    target_regex: str | None = None
    floor: str | None = None
    new_tokens: int = NEW_TOKENS
    """Most that are written after a prompt."""
    common: Common = field(default_factory=Common)


def about_language(models: tuple[str, ...], origin: Origin, common: Common) -> bool:
    """Tell whether the first model of a command is a causal language model.

    Raises:
        CheckpointError: If it cannot be read.
    """
    first = ModelFacts(path=models[0], sha256="") if models else origin.suspect
    if first is None:
        return False
    checkpoint = open_model(first, common)
    base = None
    if checkpoint.config is None and origin.reference is not None:
        base = open_model(origin.reference, common, vocabulary=checkpoint.vocabulary).config
    return is_causal(checkpoint, base)


def causal_evaluate(request: CausalEvaluateRequest, progress: Progress = SILENT) -> CausalEvaluation:
    """Measure perplexity, and attack success where a trigger is known, of every model on the same texts.

    Raises:
        PurifyError: If a model, the texts, the trigger or the target cannot be used.
    """
    run, common = request.origin.run, request.common
    named = _named(request)
    trigger, wanted = _target(request, progress)
    rows = load_texts(request.data, common.columns)
    asked = PromptSpec(trigger=trigger, wanted=wanted, new_tokens=request.new_tokens, common=common)
    prompts: Prompts | None = None
    found: list[TextModelMeasurement] = []
    if request.floor is not None:
        named["floor"] = ModelFacts(path=request.floor, sha256="")
    claim(run, "causal-evaluation.json")
    with run.logged("evaluate", {"models": [facts.path for facts in named.values()], "data": request.data}):
        for name, facts in progress.track(named.items(), "measuring models", total=len(named)):
            checkpoint = open_model(facts, common)
            base = _architecture(checkpoint, request.origin.reference, common)
            require_causal(checkpoint, base)
            model = load_causal(checkpoint, config=base.config or {}, device=common.compute.device)
            mine = ask_texts(model, base, rows, asked)
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
            measured = measured_text(model, base, mine, common, progress)
            found.append(text_facts(name, model_facts(checkpoint), measured))
        floor = found.pop() if request.floor is not None else None
        record = CausalEvaluation(
            versions=versions(),
            seed=common.compute.seed,
            run=str(run.path),
            settings={
                "max_length": common.compute.max_length,
                "batch_size": common.compute.batch_size,
                "prompt_words": common.prompt_length,
                "new_tokens": request.new_tokens,
            },
            data=data_facts(request.data, rows),
            trigger=text_trigger(trigger, wanted) if trigger and wanted else None,
            natural=prompts.natural if prompts else 0,
            dropped=prompts.dropped if prompts else 0,
            models=found,
            floor=floor,
        )
        run.save(record)
    return record


def _named(request: CausalEvaluateRequest) -> dict[str, ModelFacts]:
    """Name the models: by folder name where that tells them apart, by what the record calls them otherwise."""
    if request.models:
        short = [Path(given).name or given for given in request.models]
        names = short if len({*short, "floor"}) == len(short) + 1 else list(request.models)
        return {name: ModelFacts(path=given, sha256="") for name, given in zip(names, request.models, strict=True)}
    origin = request.origin
    if origin.record is None or origin.suspect is None:
        raise UsageError("there is no model to evaluate", hint="Name one, or run `purify attack` first.")
    if isinstance(origin.record, Purification):
        return {"suspect": origin.suspect, "purified": origin.record.output}
    return {"finetuned" if isinstance(origin.record, FinetuneRecord) else "suspect": origin.suspect}


def _target(request: CausalEvaluateRequest, progress: Progress) -> tuple[Trigger | None, Wanted | None]:
    """Take trigger and target from the options, else from the attack recorded in the run folder."""
    given = request.target_text is not None or request.target_regex is not None
    if (request.trigger is None) == given:
        raise UsageError(
            "a trigger needs a target, and a target a trigger",
            hint="Give --trigger, and --target-text or --target-regex.",
        )
    if request.trigger is not None:
        wanted = Wanted(text=request.target_text, regex=request.target_regex)
        return Trigger(request.trigger, request.position or "random"), wanted
    if request.position is not None:
        raise UsageError("--position needs a trigger", hint="Give --trigger, and --target-text or --target-regex.")
    attack = request.origin.run.find(CausalAttackRecord)
    if attack is None:
        return None, None
    progress.note(f"trigger {attack.trigger.text!r} taken from causal-attack.json in {request.origin.run.path}")
    known = attack.trigger
    return Trigger(known.text, known.position), Wanted(text=known.target_text, regex=known.target_regex)


def _architecture(checkpoint: Checkpoint, reference: ModelFacts | None, common: Common) -> Checkpoint:
    """Take config and tokenizer from the reference if one is known, else from the model's own folder."""
    if reference is None:
        return require_config(checkpoint)
    return require_config(open_model(reference, common, vocabulary=checkpoint.vocabulary))
