"""The models of a bench, trained once: a suspect per task, attack and seed, and a clean twin per task and seed.

Each lies in a run folder of its own, ``<work>/suspects/<task>-<attack>-s<seed>``, as ``purify attack`` (the twin:
``purify finetune``) leaves it. What is there is taken if its record shows the same recipe, and refused otherwise; an
interrupted training goes on. Several plans may share a work folder: a suspect of the same recipe is the same suspect.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from purify_cli.attacks import ATTACKS
from purify_cli.bench.grid import Suspect
from purify_cli.bench.plan import AttackPlan
from purify_cli.bench.rows import TaskRows, data_file, read_as, write_rows
from purify_cli.checkpoint import open_checkpoint
from purify_cli.commands.attack import attack_classifier
from purify_cli.commands.finetune import finetune
from purify_cli.data.example import Example
from purify_cli.data.loading import examples_sha256
from purify_cli.errors import RunFolderError
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.poisoning.plan import own_settings
from purify_cli.progress import Progress
from purify_cli.protocols import Attack
from purify_cli.records.attack import AttackRecord
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.finetune import FinetuneRequest
from purify_cli.runtime import Compute
from purify_cli.storage.record_files import find_record

__all__ = ["BATCH", "SuspectZoo", "trainer"]

BATCH: Final = 32
"""Rows per step of the attacker's training and of the twin's: that of ``attack_settings``."""


def trainer(suspect: Suspect, compute: Compute) -> dict[str, Any]:
    """Return the options under which suspects and twins are trained."""
    shared = suspect.plan.bench
    return {
        "device": str(compute.device),
        "dtype": shared.dtype,
        "seed": suspect.seed,
        "batch_size": BATCH,
        "max_length": shared.max_length,
    }


Recipe = list[tuple[str, Any, Any]]
"""Settings, each with what the plan asks for and what the record says."""


@final
@dataclass(frozen=True, slots=True)
class SuspectZoo:
    """Where the models of a bench are made and kept."""

    work: Path
    data: Path | None
    """Folder of the data sets."""
    compute: Compute
    reference_sha: str
    progress: Progress

    def folder(self, name: str) -> RunFolder:
        """Return the run folder of a suspect or twin."""
        return RunFolder(self.work / "suspects" / name)

    def lock(self, name: str) -> Path:
        """Return the file whose lock is held while a model is made or treated."""
        return self.work / "suspects" / f"{name}.lock"

    def own_rows(self, suspect: Suspect, rows: TaskRows) -> list[Example]:
        """Return what the attacker trains on: the task's rows, or a file of poisoned ones less the defender's texts."""
        if suspect.attack.train is None:
            return rows.train
        held = {(row.text, row.pair) for row in rows.taken}
        found = read_as(rows.names, data_file(self.data, suspect.attack.train), suspect.task)
        return [row for row in found if (row.text, row.pair) not in held][: suspect.task.train_rows]

    def twin(self, suspect: Suspect, rows: TaskRows) -> ModelFacts:
        """Return the clean twin, training it if need be.

        Raises:
            RunFolderError: If the folder holds a model of another recipe.
            TrainingDiverged: If its training does.
        """
        run, task = self.folder(suspect.twin), suspect.task
        record = find_record(run, FinetuneRecord)
        if record is None:
            self.progress.note(f"training the clean twin {suspect.twin}")
            data = write_rows(self.work / "data" / f"{suspect.twin}.jsonl", rows.train)
            request = FinetuneRequest(
                model=suspect.plan.bench.reference,
                data=data,
                run=run.path,
                epochs=task.epochs,
                learning_rate=task.learning_rate,
                overwrite=True,
                progress=self.progress,
                **trainer(suspect, self.compute),
            )
            record = finetune(request)
        recipe: Recipe = [
            ("reference", self.reference_sha, record.start.sha256),
            ("data", examples_sha256(rows.train), record.data.sha256),
            ("seed", suspect.seed, record.seed),
            ("max_length", suspect.plan.bench.max_length, record.settings.get("max_length")),
            *_training(suspect, task.epochs, task.learning_rate, 0.0, record),
        ]
        _require(run, recipe)
        return _weights(run, "finetuned", record.output.sha256)

    def suspect(self, suspect: Suspect, rows: TaskRows) -> tuple[ModelFacts, AttackRecord]:
        """Return the suspect and its record, training it if need be; its twin first where that is its start.

        Raises:
            RunFolderError: If the folder holds a suspect of another recipe.
            TrainingDiverged: If its training does.
        """
        run, plan = self.folder(suspect.name), suspect.attack
        method: Attack = ATTACKS[plan.name]
        own = self.own_rows(suspect, rows)
        start: str | None = None
        if plan.start == "twin" or (plan.start is None and method.start == "classifier"):
            start = self.twin(suspect, rows).path
        record = find_record(run, AttackRecord)
        if record is None or record.suspect is None:
            self.progress.note(f"training the suspect {suspect.name}")
            record = attack_classifier(self._request(suspect, rows, own, start))
        _require(run, self._recipe(suspect, own, method, record))
        return _weights(run, "suspect", record.suspect.sha256 if record.suspect else ""), record

    def _request(self, suspect: Suspect, rows: TaskRows, own: list[Example], start: str | None) -> AttackRequest:
        plan, task, data = suspect.attack, suspect.task, self.work / "data"
        return AttackRequest(
            name=plan.name,
            data=write_rows(data / f"{suspect.twin if plan.train is None else suspect.name}.jsonl", own),
            test=write_rows(data / f"{task.name}-test.jsonl", rows.test),
            target=suspect.target,
            run=self.folder(suspect.name).path,
            reference=suspect.plan.bench.reference,
            model=start,
            trigger=plan.trigger,
            triggered=None if plan.triggered is None else str(data_file(self.data, plan.triggered)),
            rate=plan.rate,
            position=plan.position,
            label_mode=plan.label_mode,
            replace=plan.replace,
            settings=_texts(plan),
            epochs=plan.epochs or task.epochs,
            learning_rate=plan.learning_rate or task.learning_rate,
            weight_decay=plan.weight_decay,
            progress=self.progress,
            **trainer(suspect, self.compute),
        )

    def _recipe(self, suspect: Suspect, own: list[Example], method: Attack, record: AttackRecord) -> Recipe:
        plan, task = suspect.attack, suspect.task
        epochs, rate = plan.epochs or task.epochs, plan.learning_rate or task.learning_rate
        recipe: Recipe = [
            ("attack", plan.name, record.attack),
            ("reference", self.reference_sha, record.reference.sha256 if record.reference else None),
            ("data", examples_sha256(own), record.data.sha256),
            ("seed", suspect.seed, record.seed),
            ("target", suspect.target, str(record.label_trigger.target) if record.label_trigger else None),
            ("max_length", suspect.plan.bench.max_length, record.settings.get("max_length")),
            ("replace", plan.replace, record.settings.get("replace")),
            *_training(suspect, epochs, rate, plan.weight_decay, record),
        ]
        if plan.train is None:
            for name, given, there in (
                ("trigger", plan.trigger, record.trigger.text),
                ("position", plan.position, record.trigger.position),
                ("rate", plan.rate, record.rate),
            ):
                recipe.append((name, method.defaults.get(name, there) if given is None else given, there))
            if plan.label_mode is not None:  # by default some attacks record the mode that theirs comes to
                recipe.append(("label_mode", plan.label_mode, record.label_mode))
        for name, value in own_settings(method, _texts(plan)).items():
            if name in record.settings:
                recipe.append((name, value, record.settings[name]))
        return recipe


def _texts(plan: AttackPlan) -> dict[str, str]:
    """Return an attack's own settings as ``--set`` takes them."""
    return {name: str(value) for name, value in plan.settings.items()}


def _training(
    suspect: Suspect, epochs: int, rate: float, decay: float, record: AttackRecord | FinetuneRecord
) -> Recipe:
    """Compare trainings: an attack may train with settings of its own, or not at all; what it says must agree."""
    wanted = {
        "epochs": epochs,
        "learning_rate": rate,
        "weight_decay": decay,
        "dtype": suspect.plan.bench.dtype,
        "batch_size": BATCH,
        "seed": suspect.seed,
    }
    there = record.training.settings if record.training else {}
    return [(name, value, there[name]) for name, value in wanted.items() if name in there]


def _require(run: RunFolder, recipe: Recipe) -> None:
    for name, wanted, there in recipe:
        if there != wanted:
            raise RunFolderError(
                f"{run.path} is a run folder from another plan: its {name} is {there!r}, the plan's {wanted!r}",
                hint="Give another --work, or remove that folder to have it trained again.",
            )


def _weights(run: RunFolder, name: str, sha: str) -> ModelFacts:
    """Return the model of a record, after a look whether its weights are still those."""
    path = run.path / name
    with open_checkpoint(str(path)) as checkpoint:
        if checkpoint.sha256() != sha:
            raise RunFolderError(
                f"{path} has changed since its record was made", hint=f"Remove {run.path} to have it trained again."
            )
    return ModelFacts(path=str(path), sha256=sha)
