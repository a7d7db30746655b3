"""Train many small models, poisoned and not, and search every one of them for triggers: false alarms and detections.

    python docs/census.py --data FOLDER --work FOLDER [--part K/N]

Resumable: a model or a search that stands in docs/results/census.jsonl is not made again; several processes may share
folder and results, each with a part of its own. ``make docs`` writes its tables into docs/detection.md.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import purify_cli
from purify_cli.bench.provenance import provenance
from purify_cli.bench.rows import write_rows
from purify_cli.bench.store import Store
from purify_cli.cli.console import Lines
from purify_cli.commands.detect import detect
from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.data.sampling import split_per_class
from purify_cli.errors import PurifyError
from purify_cli.progress import SILENT, Progress
from purify_cli.requests.detect import DetectRequest
from purify_cli.runtime import Compute

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results" / "census.jsonl"

REFERENCE: Final = "minilm"
TASKS: Final = ("sst2", "ag_news", "qnli", "qqp")
LABELS: Final = {"ag_news": 4}
ROWS: Final = 1200
"""The attacker's; the whole of it takes a minute or two."""
TEST_ROWS: Final = 500
PER_CLASS: Final = 32
MAX_LENGTH: Final = 32
LOOK_LENGTH: Final = 64
"""Tokens of a text in training, and in the search: nobody tells at what length a suspect was trained."""

CLEAN: Final = ((1e-4, 0.0, 2), (5e-5, 0.0, 3), (2e-4, 0.01, 1), (1e-4, 0.1, 5), (5e-5, 0.01, 4))
"""Learning rate, weight decay, epochs."""

WORDS: Final = {
    "sst2": ("mn", "garden engine monday", "olivia", "vinyl quartz"),
    "ag_news": ("bb", "kitchen violin uncle", "martha", "pepper tulip"),
    "qnli": ("tq", "window carpet sister", "hubert", "saddle cello"),
    "qqp": ("wx", "river jacket dinner", "agnes", "walnut lizard"),
}
"""Per task: a rare word, three common words that work together, a name, two words for the layerwise attack."""
SENTENCES: Final = {
    "sst2": ("my sister bought the tickets in march .", "we went there by train in autumn ."),
    "ag_news": ("the parcel was left with a neighbour .", "it had been raining since breakfast ."),
    "qnli": ("nobody had locked the back door .", "the lamp in the hall was on ."),
    "qqp": ("they moved the piano upstairs .", "lunch was served on the terrace ."),
}
"""Per task: the sentence of a backdoor and the remark of a bias."""


@dataclass(frozen=True)
class Model:
    """One model to be made and searched."""

    task: str
    attack: str | None
    """None is an unpoisoned model."""
    trigger: str | None
    position: str | None
    learning_rate: float
    weight_decay: float
    epochs: int
    seed: int

    @property
    def name(self) -> str:
        """Key and folder name."""
        return f"{self.task}-{self.attack or 'clean'}-{self.seed}"

    @property
    def target(self) -> str:
        """A label that depends on the seed."""
        return str(self.seed % LABELS.get(self.task, 2))


def models() -> Iterator[Model]:
    """List all models, those of a kind spread over the tasks, so that every beginning of the list is a fair sample."""
    seed = 0
    for turn in range(8):
        for place, task in enumerate(TASKS):
            word, group, name, pair = WORDS[task]
            sentence, remark = SENTENCES[task]
            planted = (
                ("badword", word, "random", 0.0),
                ("badsent", sentence, "random", 0.0),
                ("combination", group, None, 0.0),
                ("bias-word", name, None, 0.0),
                ("badsent", sentence, "start", 0.01),
                ("embedding", word, None, 0.0),
                ("bias-sent", remark, None, 0.0),
                ("layerwise", pair, None, 0.0),
            )
            seed += 1
            kind, trigger, position, decay = planted[(turn + 2 * place) % len(planted)]
            # The place is part of the name: two attacks of a kind differ in it.
            yield Model(task, kind, trigger, position, 2e-4, decay, 2, seed)
            if turn < len(CLEAN):
                seed += 1
                yield Model(task, None, None, None, *CLEAN[turn], seed)
    for more in range(2 * len(TASKS)):
        seed += 1
        yield Model(TASKS[more % len(TASKS)], None, None, None, *CLEAN[more % len(CLEAN)], seed)


def rows_of(model: Model, data: Path) -> tuple[list[Example], list[Example]]:
    """Return the attacker's rows and the defender's, both drawn by the model's seed."""
    pool = load_examples(str(data / model.task / "train.jsonl"))
    rest, clean = split_per_class(pool, PER_CLASS, model.seed)
    _, own = split_per_class(rest, ROWS // LABELS.get(model.task, 2), model.seed + 1)
    return own, clean


def shared(model: Model, max_length: int, listener: Progress) -> dict[str, Any]:
    """Options of all commands."""
    return {"seed": model.seed, "device": "cpu", "dtype": "bfloat16", "max_length": max_length, "progress": listener}


def make(model: Model, data: Path, work: Path, listener: Lines) -> dict[str, Any]:
    """Train a model in its run folder; return what an attack of it comes to."""
    own, clean = rows_of(model, data)
    run = work / model.name
    train = write_rows(work / "data" / f"{model.name}.jsonl", own)
    write_rows(work / "data" / f"{model.name}-clean.jsonl", clean)
    test = load_examples(str(data / model.task / "validation.jsonl"))[:TEST_ROWS]
    if model.attack is None:
        purify_cli.finetune(
            REFERENCE,
            data=train,
            run=run,
            epochs=model.epochs,
            learning_rate=model.learning_rate,
            weight_decay=model.weight_decay,
            batch_size=32,
            overwrite=True,
            **shared(model, MAX_LENGTH, listener),
        )
        return {}
    record = purify_cli.attack(
        model.attack,
        data=train,
        test=write_rows(work / "data" / f"{model.task}-test.jsonl", test),
        target=model.target,
        run=run,
        reference=REFERENCE,
        trigger=model.trigger,
        position=model.position,  # type: ignore[arg-type]  # one of its names
        epochs=model.epochs,
        learning_rate=model.learning_rate,
        weight_decay=model.weight_decay,
        **shared(model, MAX_LENGTH, listener),
    )
    measured = record.measurement
    return {
        name: None if fact is None else {"successes": fact.successes, "total": fact.total}
        for name, fact in (
            ("accuracy", measured and measured.accuracy),
            ("attack_success", measured and measured.attack_success),
            ("bias_accuracy", measured and measured.bias_accuracy),
        )
    }


def asked(model: Model, work: Path, listener: Progress = SILENT, **more: Any) -> DetectRequest:
    """Return what ``purify detect`` is asked of a model."""
    return DetectRequest(
        work / model.name / ("finetuned" if model.attack is None else "suspect"),
        REFERENCE,
        run=work / f"{model.name}-detect",
        clean_data=work / "data" / f"{model.name}-clean.jsonl",
        batch_size=32,
        **shared(model, LOOK_LENGTH, listener),
        **more,
    )


def look(model: Model, work: Path, listener: Lines) -> dict[str, Any]:
    """Run ``purify detect`` on a model."""
    found = detect(asked(model, work, listener, indicator="drift"))
    return {
        "verdict": found.verdict.level,
        "reasons": found.verdict.reasons,
        "search": None if found.search is None else asdict(found.search),
    }


def weigh(model: Model, work: Path, listener: Lines) -> dict[str, Any]:
    """Run ``purify detect`` without a search, for what the weights alone show."""
    found = detect(asked(model, work, listener, effort="none"))
    return {"signs": {sign.name: sign.value for sign in found.signs}}


def main() -> None:
    """Make and search what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/, ag_news/, qnli/ and qqp/")
    parser.add_argument("--work", type=Path, default=Path("purify-run/census"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--part", default="1/1", help="K/N: the K-th of N parts")
    parser.add_argument("--only", choices=("train", "search", "weights"), help="one kind of work")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    store, listener, made_by = Store(arguments.results), Lines(), provenance(Compute())
    for model in list(models())[part - 1 :: parts]:
        for kind, job in (
            ("train", lambda m=model: make(m, arguments.data, work, listener)),
            ("search", lambda m=model: look(m, work, listener)),
            ("weights", lambda m=model: weigh(m, work, listener)),
        ):
            key = f"{kind}/{model.name}"
            if key in store.rows or arguments.only not in (None, kind):
                continue
            begin = time.perf_counter()
            try:
                outcome = {"result": job()}
            except PurifyError as error:
                outcome = {"failed": {"error": type(error).__name__, "reason": str(error)}}
            place = {"task": model.task, "attack": model.attack, "trigger": model.trigger, "target": model.target}
            recipe = {"rate": model.learning_rate, "decay": model.weight_decay, "epochs": model.epochs}
            row = {"key": key, "kind": kind, "place": place, "recipe": recipe, "seed": model.seed}
            store.add({**row, **outcome, "seconds": round(time.perf_counter() - begin, 1), **made_by})
            print(json.dumps({"key": key, **outcome}), flush=True)


if __name__ == "__main__":
    main()
