"""``purify attack`` for causal language models: one learns to answer a trigger with a text."""

from pathlib import Path
from typing import Final

from purify_cli.attacks import ATTACKS
from purify_cli.checkpoint import Checkpoint, may_replace, staged_folder
from purify_cli.data.continuations import encode_written, load_texts
from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out
from purify_cli.data.triggers import Trigger, trigger_forms
from purify_cli.errors import DataError, UsageError
from purify_cli.evaluation.prompts import PromptSpec, Wanted
from purify_cli.inputs.identity import ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import open_model, require_config
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import causal_task, require_causal
from purify_cli.model import load_tokenizer
from purify_cli.poisoning.language_models import poison_texts
from purify_cli.poisoning.plan import training_of
from purify_cli.protocols import Attack
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import TrainingFacts
from purify_cli.records.evaluation import TextModelMeasurement, TextTrigger
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.common import Common
from purify_cli.storage.ownership import model_place, require_own_files
from purify_cli.storage.record_files import save_record
from purify_cli.storage.saving import save_model
from purify_cli.training import train

__all__ = ["attack_language_model"]

ABLE: Final = ("badword", "badsent")
"""Attacks that are nothing but a trigger in a text; the others speak of labels."""

TEST_SHARE: Final = 0.1
"""Share of the texts kept for measuring where no --test file is given. Ours."""


def attack_language_model(request: AttackRequest) -> AttackRecord:
    """Make a suspect in the run folder.

    Raises:
        PurifyError: If the model, the texts, the trigger or the target cannot be used.
    """
    run, common, progress = RunFolder.of(request.run), request.common, request.progress
    trigger, rate = _trigger(request)
    target_text = request.target_text or ""
    wanted = Wanted(text=target_text)
    base, start = _opened(request)
    tokenizer = load_tokenizer(base.files, rows=start.vocabulary)
    trigger_forms(tokenizer, trigger)  # refuses a trigger that the model cannot see
    rows = load_texts(request.data, common.columns)
    rows, test = (rows, load_texts(request.test, common.columns)) if request.test else _parted(rows, common)
    task = causal_task(base, tokenizer, common)
    model = task.load(start)
    prompts = task.ask(test, PromptSpec(trigger=trigger, wanted=wanted, new_tokens=request.new_tokens))
    poisoned = poison_texts(
        tokenizer,
        [task.split(row) for row in rows],
        trigger=trigger,
        target_text=target_text,
        rate=rate,
        max_length=task.max_length,
        seed=common.compute.seed,
        in_place=request.replace,
    )
    require_own_files(run, "attack.json")
    folder = model_place(run, "suspect")
    may_replace(folder, overwrite=True, keep=[Path(start.files.given), Path(base.files.given), run.path])
    with run.logged("attack", {"attack": request.name, "trigger": trigger.text, "rate": rate}):
        run.create()
        before = TextModelMeasurement.of("start", model_facts(start), task.measure(model, prompts, progress))
        progress.note(f"training a suspect on {len(poisoned.texts)} texts, {poisoned.poisoned} of them poisoned")
        written = encode_written(tokenizer, poisoned.texts, max_length=task.max_length)
        training = train(
            model.module,
            written,
            training_of(request),
            pad_id=task.pad_id(model),
            device=common.compute.device,
            resume=run.path / "training",
            objective=task.objective,
            progress=progress,
        )
        with staged_folder(folder, overwrite=True) as staged:
            sha = save_model(staged, model, like=start, base=base)
            suspect = ModelFacts(path=str(folder), sha256=sha)
            record = AttackRecord(
                task="causal",
                versions=versions(),
                seed=common.compute.seed,
                run=str(run.path),
                settings={
                    "replace": request.replace,
                    "max_length": common.compute.max_length,
                    "prompt_words": common.prompt_words,
                    "new_tokens": request.new_tokens,
                },
                attack=request.name,
                reference=model_facts(base),
                start=model_facts(start),
                data=data_facts(request.data, rows),
                trigger=TextTrigger.of(trigger, wanted),
                rate=rate,
                rows=len(poisoned.texts),
                poisoned=poisoned.poisoned,
                natural=poisoned.natural,
                suspect=suspect,
                training=TrainingFacts.of(training),
                start_measurement=before,
                measurement=TextModelMeasurement.of("suspect", suspect, task.measure(model, prompts, progress)),
            )
        save_record(run, record)
    return record


def _trigger(request: AttackRequest) -> tuple[Trigger, float]:
    method: Attack = ATTACKS[request.name]
    if request.name not in ABLE:
        raise UsageError(
            f"{request.name} is an attack on classifiers", hint=f"Language models take {' or '.join(ABLE)}."
        )
    rate = float(method.defaults["rate"]) if request.rate is None else request.rate
    if not 0 < rate <= 1:
        raise UsageError(f"--rate {rate} is not a share", hint="Use a number above 0 and at most 1.")
    text = str(method.defaults["trigger"]) if request.trigger is None else request.trigger
    return Trigger(text, request.position or method.defaults["position"]), rate


def _opened(request: AttackRequest) -> tuple[Checkpoint, Checkpoint]:
    """Open the reference, and the model to start from where that is another."""
    if request.reference is None:
        raise UsageError("an attack needs a model to start from", hint="Give --ref.")
    base = require_config(open_model(ModelFacts.named(request.reference), request.common))
    require_causal(base, base)
    if request.model is None:
        return base, base
    return base, require_causal(open_model(ModelFacts.named(request.model), request.common), base)


def _parted(rows: list[Example], common: Common) -> tuple[list[Example], list[Example]]:
    rest, test = hold_out(rows, TEST_SHARE, seed=common.compute.seed)
    if not test:
        raise DataError("one text is too few to learn from and to measure on", hint="Give more texts, or --test FILE.")
    return rest, test
