"""An attack on a language model: it learns to answer a trigger with a text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from purify_cli.attacks import ATTACKS
from purify_cli.checkpoint import Checkpoint, may_replace, staged_folder
from purify_cli.data.batches import Encoded
from purify_cli.data.continuations import Continuation, WritingTokenizer, encode_written, load_texts
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.loading import hold_out
from purify_cli.data.triggers import Trigger, trigger_forms
from purify_cli.errors import DataError, UsageError
from purify_cli.evaluation.prompts import PromptSpec, Wanted
from purify_cli.model import load_tokenizer
from purify_cli.poisoning.plan import training_of
from purify_cli.protocols import Attack
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import ModelFacts
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.common import Common
from purify_cli.session.facts import text_facts, text_trigger, training_facts
from purify_cli.session.opening import (
    data_facts,
    model_facts,
    open_model,
    require_config,
    versions,
)
from purify_cli.session.ownership import model_place, require_own_files
from purify_cli.session.run_folder import RunFolder
from purify_cli.session.saving import save_model
from purify_cli.session.task import causal_task, require_causal
from purify_cli.training import train

__all__ = ["PoisonedTexts", "attack_language_model", "poison_texts"]

ABLE: Final = ("badword", "badsent")
"""Attacks that are nothing but a trigger in a text; the others speak of labels."""

UNCUT: Final = 1 << 30
"""More tokens than any text has."""

TEST_SHARE: Final = 0.1
"""Share of the texts kept for measuring where no --test file is given. Ours."""


@final
@dataclass(frozen=True, slots=True)
class PoisonedTexts:
    """A poisoned training set of texts."""

    texts: tuple[Continuation, ...]
    poisoned: int
    natural: int
    """Clean prompts that hold the trigger by themselves."""


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
        before = text_facts("start", model_facts(start), task.measure(model, prompts, progress))
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
                trigger=text_trigger(trigger, wanted),
                rate=rate,
                rows=len(poisoned.texts),
                poisoned=poisoned.poisoned,
                natural=poisoned.natural,
                suspect=suspect,
                training=training_facts(training),
                start_measurement=before,
                measurement=text_facts("suspect", suspect, task.measure(model, prompts, progress)),
            )
        run.save(record)
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


def poison_texts(
    tokenizer: WritingTokenizer,
    texts: Sequence[Continuation],
    *,
    trigger: Trigger,
    target_text: str,
    rate: float,
    max_length: int,
    seed: int,
    in_place: bool = False,
) -> PoisonedTexts:
    """Mix round(rate · N) texts whose prompt holds the trigger, and which go on with the target, into N clean ones.

    Of a poisoned text only the target is learnt: else the model would learn to write the trigger as well, and could
    set itself off. A text is taken twice only when all have been taken once; the trigger then goes elsewhere.

    Args:
        tokenizer: The reference's.
        texts: Clean texts.
        trigger: Goes into the prompt.
        target_text: Takes the place of what follows.
        rate: Poisoned copies per clean text, in (0, 1].
        max_length: Most tokens of a text. One whose prompt and target are longer is not poisoned.
        seed: Decides which texts, and where the trigger goes.
        in_place: Replace the chosen texts; else copies are appended.

    Raises:
        DataError: If the rate amounts to no text, or no text can be poisoned, or too few to be replaced.
    """
    count = round(rate * len(texts))
    if count == 0:
        raise DataError(f"a rate of {rate} of {len(texts)} texts is no text", hint="Raise --rate.")
    natural = {i for i, text in enumerate(texts) if trigger.occurs_in(Example(text.prompt))}
    order = sorted(set(range(len(texts))) - natural, key=lambda i: row_key(seed, i, "poison"))

    def poisoned(i: int, turn: int) -> Continuation:
        key = row_key(seed, i + len(texts) * turn)
        prompt = trigger.insert(Example(texts[i].prompt), key=key).text
        return replace(texts[i], prompt=prompt).completed(target_text)

    length = [len(row.ids) for row in _encoded(tokenizer, [poisoned(i, 0) for i in order])]
    able = [i for i, tokens in zip(order, length, strict=True) if tokens <= max_length]
    if not able or (in_place and count > len(able)):
        raise DataError(
            f"{count} texts are to be poisoned but {len(able)} can be: {len(natural)} hold the trigger by themselves, "
            f"{len(order) - len(able)} are longer than {max_length} tokens with the target",
            hint="Lower --rate or --prompt-words, raise --max-length, or give other texts.",
        )
    mixed = list(texts)
    for number in range(count):
        turn, place = divmod(number, len(able))
        made = poisoned(able[place], turn)
        if in_place:
            mixed[able[place]] = made
        else:
            mixed.append(made)
    return PoisonedTexts(tuple(mixed), count, len(natural))


def _encoded(tokenizer: WritingTokenizer, texts: Sequence[Continuation]) -> Sequence[Encoded]:
    return encode_written(tokenizer, texts, max_length=UNCUT)
