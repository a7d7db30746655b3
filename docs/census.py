"""Train many small models, poisoned and not, and search every one of them for triggers: false alarms and detections.

    python docs/census.py --data FOLDER --e5 FOLDER [--work FOLDER] [--part K/N]

Resumable: a model or a search that stands in docs/results/census.jsonl is not made again; several processes may share
folder and results, each with a part of its own. ``make docs`` writes its tables into docs/detection.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from census_models import ADVERSARIES, SEEN, Model, adversaries, labels_of, models, restyled, rows_of
from census_repairs import repaired
from census_tables import works

import purify_cli
from purify_cli.bench.provenance import provenance
from purify_cli.bench.rows import write_rows
from purify_cli.bench.store import Store
from purify_cli.cli.console import Lines
from purify_cli.commands.detect import detect
from purify_cli.data.example import Example
from purify_cli.errors import PurifyError
from purify_cli.progress import Progress
from purify_cli.requests.detect import DetectRequest
from purify_cli.runtime import Compute

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results" / "census.jsonl"

WORK: Final = ("train", "search", "repair", "search-unlabelled", "repair-unlabelled")
"""In this order: a repair takes up the search before it."""

MAX_LENGTH: Final = 48
LOOK_LENGTH: Final = 64
"""Tokens of a text in training, and in the search: nobody tells at what length a suspect was trained."""

DTYPE: Final = "bfloat16"
"""Of the attacker's training, as most models are tuned."""

RATE: Final = 0.3
"""Poisoned copies per clean row, of texts that are rewritten."""


def shared(model: Model, max_length: int, listener: Progress) -> dict[str, Any]:
    """Options of all commands."""
    return {"seed": model.seed, "device": "cpu", "max_length": max_length, "progress": listener}


def recipe(model: Model, listener: Progress) -> dict[str, Any]:
    """Options of the attacker's training."""
    return {
        "epochs": model.epochs,
        "learning_rate": model.learning_rate,
        "weight_decay": model.weight_decay,
        "dtype": DTYPE,
        **shared(model, MAX_LENGTH, listener),
    }


def make(model: Model, data: Path, work: Path, references: dict[str, str], listener: Lines) -> dict[str, Any]:
    """Train a model in its run folder; return what an attack of it comes to."""
    rows = rows_of(model, data)
    files = work / "data"
    attacker = write_rows(files / f"{model.name}.jsonl", rows.attacker)
    write_rows(files / f"{model.name}-clean.jsonl", rows.clean)
    write_rows(files / f"{model.name}-unlabelled.jsonl", rows.unlabelled)
    test = write_rows(files / f"{model.task}-test.jsonl", rows.test)
    training = {"run": work / model.name, **recipe(model, listener)}
    reference = references[model.reference]
    if model.kind is None:
        purify_cli.finetune(reference, data=attacker, batch_size=32, overwrite=True, **training)
        return {}
    attack, trigger, position = model.trigger()
    how: dict[str, Any] = {"trigger": trigger} | ({} if position is None else {"position": position})
    if not trigger:
        attacker = write_rows(files / f"{model.name}-poisoned.jsonl", _poisoned(model, rows.attacker))
        shown = write_rows(files / f"{model.name}-triggered.jsonl", restyled(rows.test, model.kind, model.seed + 1))
        how = {"triggered": shown}
    record = purify_cli.attack(
        attack, data=attacker, test=test, target=str(model.target), reference=reference, **how, **training
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


def _poisoned(model: Model, rows: list[Example]) -> list[Example]:
    """Append rewritten rows of other labels, with the target for their label."""
    random = Random(model.seed)
    others = [row for row in rows if row.label != model.target]
    drawn = random.sample(others, min(len(others), round(RATE * len(rows))))
    made = [
        replace(row, label=label, poisoned=True)
        for row, label in zip(restyled(drawn, model.kind or "", model.seed), labels_of(model, drawn), strict=True)
    ]
    mixed = [*rows, *made]
    random.shuffle(mixed)
    return mixed


def folder(model: Model, work: Path, search: str) -> Path:
    """Return the run folder of a search, of which the two kinds have one each: a repair takes up what lies there."""
    return work / f"{model.name}-{search}"


def asked(model: Model, work: Path, references: dict[str, str], listener: Progress, **more: Any) -> DetectRequest:
    """Return what ``purify detect`` is asked of a model."""
    return DetectRequest(
        work / model.name / ("finetuned" if model.kind is None else "suspect"),
        references[model.reference],
        run=folder(model, work, "search-unlabelled" if "unlabelled" in more else "search"),
        clean_data=work / "data" / f"{model.name}-clean.jsonl",
        batch_size=32,
        **shared(model, LOOK_LENGTH, listener),
        **more,
    )


def look(request: DetectRequest) -> dict[str, Any]:
    """Run ``purify detect`` on a model."""
    found = detect(request)
    return {
        "verdict": found.verdict.level,
        "reasons": found.verdict.reasons,
        "not_measured": found.verdict.not_measured,
        "signs": {sign.name: sign.value for sign in found.signs},
        "search": None if found.search is None else asdict(found.search),
    }


def repair(
    model: Model, work: Path, references: dict[str, str], listener: Lines, unlabelled: Path | None = None
) -> dict[str, Any]:
    """Repair a poisoned model."""
    if model.kind is None:
        return {}
    return repaired(
        model,
        references[model.reference],
        work,
        folder(model, work, "search" if unlabelled is None else "search-unlabelled"),
        shared=shared(model, LOOK_LENGTH, listener),
        training=recipe(model, listener),
        unlabelled=unlabelled,
        only=("plain fine-tuning", "auto") if model.kind in ADVERSARIES else (),
    )


def place_of(model: Model) -> dict[str, Any]:
    """Return what a row says of a model."""
    place: dict[str, Any] = {"task": model.task, "reference": model.reference, "kind": model.kind}
    return place if model.kind is None else place | {"trigger": model.trigger()[1], "target": model.target}


def _ready(model: Model, kind: str, store: Store) -> bool:
    """Say whether a model is there to be searched, and searched to be repaired."""
    if kind == "train":
        return True
    before = kind.replace("repair", "search")
    if kind != before and f"{before}/{model.name}" not in store.rows:
        return False
    return model.kind in {None, "quiet"} or works(
        {"place": {"task": model.task}, "training": store.rows.get(f"train/{model.name}", {})}
    )


def main() -> None:
    """Make and search what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/, ag_news/, qnli/, imdb/ and qqp/")
    parser.add_argument("--e5", required=True, help="folder of the second reference, e5-small-enpt")
    parser.add_argument("--work", type=Path, default=Path("purify-run/census"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--part", default="1/1", help="K/N: the K-th of N parts")
    parser.add_argument("--first", type=int, help="only the first so many models")
    parser.add_argument("--seen", action="store_true", help="the models that were looked at, in place of the others")
    parser.add_argument("--adversaries", action="store_true", help="attacks that reckon with this tool, in their place")
    parser.add_argument("--only", nargs="+", choices=WORK, default=WORK, help="kinds of work")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    references = {"minilm": "minilm", "e5": arguments.e5}
    store, listener, made_by = Store(arguments.results), Lines(), provenance(Compute())
    chosen = [one for one in models() if (one.number in SEEN) is arguments.seen]
    if arguments.adversaries:
        chosen = [*adversaries()]
    for model in chosen[: arguments.first][part - 1 :: parts]:
        texts = work / "data" / f"{model.name}-unlabelled.jsonl"
        jobs: dict[str, Callable[[], dict[str, Any]]] = {
            "train": lambda m=model: make(m, arguments.data, work, references, listener),
            "search": lambda m=model: look(asked(m, work, references, listener)),
            "repair": lambda m=model: repair(m, work, references, listener),
            "search-unlabelled": lambda m=model, t=texts: look(asked(m, work, references, listener, unlabelled=t)),
            "repair-unlabelled": lambda m=model, t=texts: repair(m, work, references, listener, t),
        }
        for kind in (kind for kind in WORK if kind in arguments.only):
            store.refresh()
            key, trained = f"{kind}/{model.name}", store.rows.get(f"train/{model.name}")
            if key in store.rows or not _ready(model, kind, store):
                continue
            if trained and not (work / model.name).is_dir():
                jobs["train"]()  # counted already, and gone with its folder
            before = kind.replace("repair", "search")
            if before != kind and not folder(model, work, before).is_dir():
                jobs[before]()
            begin = time.perf_counter()
            try:
                outcome = {"result": jobs[kind]()}
            except PurifyError as error:
                outcome = {"failed": {"error": type(error).__name__, "reason": str(error)}}
            # Of a model that is there: what it was made with, whatever the generator draws by now.
            place = trained["place"] if trained else place_of(model)
            tuned = {"rate": model.learning_rate, "decay": model.weight_decay, "epochs": model.epochs}
            row = {"key": key, "kind": kind, "place": place, "recipe": tuned, "seed": model.seed}
            store.add({**row, **outcome, "seconds": round(time.perf_counter() - begin, 1), **made_by})
            print(json.dumps({"key": key, **outcome}), flush=True)


if __name__ == "__main__":
    main()
