"""``purify evaluate``: measure models side by side on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import fspath
from pathlib import Path
from typing import Literal

from purify_cli.choices import Name
from purify_cli.commands.evaluate_texts import evaluate_texts, writes
from purify_cli.comparison.compare import compare, retune_test
from purify_cli.comparison.retune import RetuneChoice, draw
from purify_cli.comparison.run import EvaluationPlan, Subject, answer, ask_all
from purify_cli.comparison.trigger_options import TriggerChoice, pair_options, retune_choice
from purify_cli.data.class_names import listed, named, place_of
from purify_cli.data.example import Example
from purify_cli.data.loading import examples_sha256
from purify_cli.errors import DataError, PairError, RunFolderError, UsageError
from purify_cli.inputs.identity import ModelFacts, data_facts, versions
from purify_cli.inputs.opening import UNMATCHED, architecture, label_number, open_model, read_rows, text_length
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.model import label_set
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.progress import Progress
from purify_cli.records.attack import AttackRecord
from purify_cli.records.detection import Detection
from purify_cli.records.evaluation import Evaluation
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.requests.common import Common
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.option import refuse_foreign
from purify_cli.requests.readers import many
from purify_cli.storage.origin import EVALUABLE, Origin, locate, say_shadowed
from purify_cli.storage.ownership import require_own_files
from purify_cli.storage.record_files import find_record, save_record

__all__ = ["evaluate", "evaluate_classifiers"]


def evaluate(request: EvaluateRequest) -> Evaluation:
    """Measure models side by side: accuracy, or perplexity of language models, and attack success.

    Raises:
        PurifyError: If a model, the data, a trigger or a target cannot be used.
    """
    origin = locate(request, EVALUABLE)
    say_shadowed(request.progress, request.floor, request.against)
    if writes(request, origin):
        refuse_foreign(request, "causal")
        return evaluate_texts(request, origin, _named(request, origin))
    refuse_foreign(request, "classification")
    return evaluate_classifiers(request, origin, pair_options(request))


def evaluate_classifiers(request: EvaluateRequest, origin: Origin, triggers: Sequence[TriggerChoice]) -> Evaluation:
    """Measure accuracy, and attack success where a trigger is known, of every classifier on the same rows.

    Args:
        request: What was asked for.
        origin: Where the models come from.
        triggers: Empty takes that of the attack recorded in the run folder, if there is one.

    Raises:
        PurifyError: If a model, the data, a trigger or a target cannot be used.
    """
    run, common, progress = origin.run, request.common, request.progress
    named, retune = _named(request, origin), retune_choice(request)
    choices = triggers or _recorded_choice(run, bias=request.bias, progress=progress)
    _check(request, named, choices)
    require_own_files(run, "evaluation.json")
    with run.logged("evaluate", {"models": [facts.path for facts in named.values()], "data": fspath(request.data)}):
        subjects = [_subject(name, facts, "model", origin, common) for name, facts in named.items()]
        if request.floor is not None:
            subjects.append(_subject("floor", ModelFacts.named(request.floor), "floor", origin, common))
        if request.against is not None:
            subjects.append(_subject("against", ModelFacts.named(request.against), "against", origin, common))
        _tell_other_names(subjects, progress)
        asked = _asked(request, subjects, choices, retune)
        answers = [
            answer(subject, asked, common, retune=retune, progress=progress)
            for subject in progress.track(subjects, "measuring models", total=len(subjects))
        ]
        first, *further = compare(asked, answers, common.compute.seed)
        record = Evaluation(
            versions=versions(),
            seed=common.compute.seed,
            run=str(run.path),
            settings={
                "max_length": common.compute.max_length,
                "batch_size": common.compute.batch_size,
                "seeds": request.seeds,
            },
            data=data_facts(request.data, asked.rows),
            trigger=first.trigger,
            models=list(first.models),
            floor=first.floor,
            further=further,
            retune=retune_test(retune, str(retune.data or request.data), asked, answers, common) if retune else None,
        )
        save_record(run, record)
    return record


def _named(request: EvaluateRequest, origin: Origin) -> dict[str, ModelFacts]:
    """Name the models: by folder name where that tells them apart, by what the record calls them otherwise."""
    if models := many(request.models):
        short = [Path(given).name or given for given in models]
        names = short if len({*short, "floor"}) == len(short) + 1 else models
        return {name: ModelFacts.named(given) for name, given in zip(names, models, strict=True)}
    if isinstance(origin.record, Purification):
        detection = None if origin.piped else find_record(origin.run, Detection)
        if detection is not None and detection.suspect.sha256 != origin.record.suspect.sha256:
            raise RunFolderError(
                f"{origin.run.path} holds a detection and a purification of different suspects",
                hint="Run `purify purify` again, or name the models.",
            )
        return {"suspect": origin.suspect, "purified": origin.record.output}
    return {"finetuned" if isinstance(origin.record, FinetuneRecord) else "suspect": origin.suspect}


def _recorded_choice(run: RunFolder, *, bias: bool, progress: Progress) -> tuple[TriggerChoice, ...]:
    """Take the trigger of the attack that the run folder records, if there is one; ``--bias`` adds to what it says."""
    attack = find_record(run, AttackRecord)
    known = None if attack is None else attack.label_trigger
    if known is None:
        return ()
    choice = TriggerChoice(target=str(known.target), position=known.position, bias=bias or known.bias)
    if known.text:
        progress.note(f"trigger {known.text!r} taken from attack.json in {run.path}")
        return (replace(choice, text=known.text),)
    if known.rows is None:
        return ()
    progress.note(f"rows with the trigger taken from {known.rows}, which attack.json in {run.path} names")
    return (replace(choice, rows=known.rows),)


def _check(request: EvaluateRequest, named: Mapping[str, ModelFacts], choices: Sequence[TriggerChoice]) -> None:
    """Refuse what makes no sense before anything is read."""
    if not choices:
        for option, given in (
            ("--bias", request.bias),
            ("--floor", request.floor),
            ("--retune", request.retune),
            ("--seeds", request.seeds != 1),
        ):
            if given:
                raise UsageError(f"{option} needs a trigger", hint="Give --trigger (or --triggered) and --target.")
    if request.seeds < 1:
        raise UsageError(f"--seeds {request.seeds} is not a positive number", hint="Give 1 or more.")
    if request.seeds > 1 and not any(choice.varies for choice in choices):
        raise UsageError(
            f"--seeds {request.seeds} would measure the same {request.seeds} times: no position is random",
            hint="Leave --seeds out, or give --position random.",
        )
    if request.consistency and request.against is None and len(named) < 2:
        raise UsageError("--consistency needs two models", hint="Name another one, or give --against MODEL.")


def _subject(
    name: str, facts: ModelFacts, role: Literal["model", "floor", "against"], origin: Origin, common: Common
) -> Subject:
    checkpoint = open_model(facts, common)
    base = architecture(checkpoint, origin.reference, common)
    reading = SuspectTokenizer(checkpoint, base)
    if reading.unmatched:
        raise PairError(UNMATCHED, hint=f"Evaluate {facts.path} without --ref: its own tokenizer is used then.")
    return Subject(name, role, checkpoint, base, label_set(checkpoint), reading)


def _asked(
    request: EvaluateRequest,
    subjects: Sequence[Subject],
    choices: Sequence[TriggerChoice],
    retune: RetuneChoice | None,
) -> EvaluationPlan:
    """Read all rows as every model understands them, and encode the questions."""
    common, progress = request.common, request.progress
    keep = request.consistency or request.against is not None
    _same_labels(subjects, strict=keep)
    rows = _rows(request.data, subjects, common, progress)
    carrying = [None if choice.rows is None else _rows(choice.rows, subjects, common, progress) for choice in choices]
    targets = tuple(_target(choice, subjects) for choice in choices)
    training: Sequence[Example] = ()
    if retune is not None:
        base = subjects[0].base
        drawn = draw(
            rows if retune.data is None else _rows(retune.data, subjects, common, progress),
            retune.rows,
            trigger=choices[0].trigger,
            carrying=carrying[0],
            target=targets[0],
            tokenizer=subjects[0].reading.tokenizer,
            max_length=text_length(base, common),
            seed=common.compute.seed,
            measured=retune.data is None,
        )
        training, carrying[0] = drawn.training, drawn.carrying
        rows = drawn.rest if retune.data is None else rows
    seeds = tuple(common.compute.seed + number for number in range(request.seeds))
    return EvaluationPlan(
        choices=tuple(choices),
        targets=targets,
        rows=tuple(rows),
        training=tuple(training),
        seeds=seeds,
        keep_logits=keep,
        questions=ask_all(
            subjects, rows, triggers=list(zip(choices, targets, carrying, strict=True)), seeds=seeds, common=common
        ),
    )


def _same_labels(subjects: Sequence[Subject], *, strict: bool) -> None:
    """Refuse a floor with other labels; with ``strict``, any difference in their number."""
    first = subjects[0]
    for one in subjects[1:]:
        if one.labels.num_labels != first.labels.num_labels and (strict or one.role != "model"):
            raise UsageError(
                f"{one.checkpoint.files.given} has {one.labels.num_labels} labels, {first.name} has "
                f"{first.labels.num_labels}",
                hint="Models that are compared row by row must be trained on the same task.",
            )


def _tell_other_names(subjects: Sequence[Subject], progress: Progress) -> None:
    """Tell of models that name their labels in another order: a label number means another class to each."""
    first, *others = subjects
    for one in others:
        places = [place_of(name, first.labels.label_names) for name in one.labels.label_names]
        if named(one.labels.label_names) and any(place not in (None, i) for i, place in enumerate(places)):
            progress.note(
                f"{one.name} names its labels {listed(one.labels.label_names)}, {first.name} "
                f"{listed(first.labels.label_names)}: numbers in the data are of other classes to each"
            )


def _rows(given: Name, subjects: Sequence[Subject], common: Common, progress: Progress) -> Sequence[Example]:
    """Read rows as every model understands their labels, which must be the same."""
    rows = read_rows(given, subjects[0].labels, common, progress=progress)
    sha = examples_sha256(rows)
    for one in subjects[1:]:
        if one.labels != subjects[0].labels and examples_sha256(read_rows(given, one.labels, common)) != sha:
            raise DataError(
                f"{given} means other labels to {one.name} than to the model before it",
                hint="The models name their labels differently: use label numbers in the data.",
            )
    return rows


def _target(choice: TriggerChoice, subjects: Sequence[Subject]) -> int:
    """Turn a target into a label number, which must be the same for every model."""
    number = label_number(choice.target, subjects[0].labels)
    for one in subjects[1:]:
        if label_number(choice.target, one.labels) != number:
            raise UsageError(
                f"--target {choice.target} means another label to {one.name} than to {subjects[0].name}",
                hint="The models name their labels differently: give the label's number.",
            )
    return number
