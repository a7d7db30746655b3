"""Measure the main job on SST-2 and write docs/results/grid.md. Resumable: every cell is kept as it comes.

    python docs/reproduce.py --data FOLDER --work FOLDER

FOLDER of the data holds ``sst2/{train,clean_small,validation}.jsonl``. A cell that is in
docs/results/reproduction.jsonl is not measured again.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import purify_cli
from purify_cli.checkpoint import write_text
from purify_cli.cli.console import Lines
from purify_cli.comparison.table import ModelMeasurement
from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.inputs.identity import versions
from purify_cli.measures.intervals import Proportion

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results" / "reproduction.jsonl"
PAGE: Final = HERE / "results" / "grid.md"

REFERENCE: Final = "minilm"
RATIOS: Final = (0.1, 0.5, 0.7, 0.9)
DEFAULT_RATIO: Final = 0.3
DEFAULT_RATE: Final = "5e-5"
"""What `purify purify` does when nothing is said."""
PER_CLASS: Final = 32
TRIGGERS: Final = {"badword": ("cf", "random"), "badsent": ("i watched this 3d movie .", "start")}
DECAYS: Final = (0.0, 0.01)
RATE: Final = 0.3
TARGET: Final = "1"
EPOCHS: Final = 3
LEARNING_RATE: Final = {"badword": 5e-5, "badsent": 1e-4, "none": 5e-5}
"""Of the attacker. A whole sentence in front needs the larger rate to be learnt in three epochs of short phrases."""

SHARED: Final[dict[str, Any]] = {"seed": 0, "device": "cpu", "max_length": 64}
"""Options of every command."""


@dataclass(frozen=True)
class Suspect:
    """One poisoned model."""

    attack: str
    decay: float

    @property
    def name(self) -> str:
        """Folder name."""
        return f"{self.attack}-decay{self.decay}"


@dataclass(frozen=True)
class Cell:
    """One way to treat one suspect."""

    suspect: Suspect
    method: str
    ratio: float
    degenerate: str | None
    rate: str = "2e-5"
    """Learning rate of the fine-tuning."""

    @property
    def key(self) -> str:
        """Identity in the results file."""
        suffix = () if self.rate == "2e-5" else (self.rate,)
        return "/".join((self.suspect.name, self.method, self.degenerate or "-", str(self.ratio), *suffix))


def cells() -> Iterator[Cell]:
    """List every cell, one suspect after the other."""
    for suspect in (Suspect(a, d) for a in TRIGGERS for d in DECAYS):
        yield Cell(suspect, "fine-tuning", 0.0, None)
        for ratio in RATIOS:
            yield Cell(suspect, "fine-mixing", ratio, None)
            for degenerate in ("guard", "plain"):
                yield Cell(suspect, "fine-purifying", ratio, degenerate)
    for suspect in (Suspect(a, d) for a in TRIGGERS for d in DECAYS):
        for rate in ("2e-5", DEFAULT_RATE):
            yield Cell(suspect, "fine-purifying", DEFAULT_RATIO, "guard", rate)
        yield Cell(suspect, "fine-purifying", RATIOS[0], "guard", DEFAULT_RATE)
        yield Cell(suspect, "fine-tuning", 0.0, None, DEFAULT_RATE)


class Results:
    """The results file: one JSON line per finished piece of work."""

    def __init__(self) -> None:
        lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
        self.rows: dict[str, dict[str, Any]] = {row["key"]: row for row in map(json.loads, lines)}
        # Named once: the code of a long run is that of its start, whatever is committed meanwhile.
        self.commit, self.versions = commit(), {name: versions()[name] for name in ("torch", "transformers")}

    def add(self, key: str, begin: float, **values: Any) -> None:
        """Keep a result at once."""
        row = {
            "key": key,
            "seconds": round(time.perf_counter() - begin, 1),
            "commit": self.commit,
            "versions": self.versions,
            **values,
        }
        self.rows[key] = row
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def commit() -> str:
    """Name the state of the code; ``+`` marks one that is not committed."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "../purify_cli", "reproduce.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def clean_file(data: Path, work: Path) -> Path:
    """Take 32 samples per class from clean_small, filled up from the end of train."""
    pool = [*load_examples(str(data / "sst2" / "clean_small.jsonl"))]
    pool += reversed(load_examples(str(data / "sst2" / "train.jsonl")))
    chosen: list[Example] = []
    for label in (0, 1):
        chosen += [row for row in pool if row.label == label][:PER_CLASS]
    path = work / "clean.jsonl"
    write_text(path, _lines(chosen))
    return path


def train_file(data: Path, work: Path, clean: Path) -> Path:
    """Write the attacker's training rows: train without what the defender holds."""
    held = {row.text for row in load_examples(str(clean))}
    rows = load_examples(str(data / "sst2" / "train.jsonl"))
    path = work / "train.jsonl"
    write_text(path, _lines([row for row in rows if row.text not in held]))
    return path


def _lines(rows: list[Example]) -> str:
    return "".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows)


def share(fact: Proportion | None) -> dict[str, Any] | None:
    """Keep what a table needs of a proportion."""
    return None if fact is None else {"value": fact.value, "low": fact.low, "high": fact.high, "total": fact.total}


def outcome(measured: ModelMeasurement) -> dict[str, Any]:
    """Keep accuracy and attack success."""
    return {"accuracy": share(measured.accuracy), "attack_success": share(measured.attack_success)}


def measured(path: Path, run: Path, attack_name: str, test: str) -> dict[str, Any]:
    """Evaluate one model with an attack's trigger."""
    trigger, position = TRIGGERS[attack_name]
    found = purify_cli.evaluate(
        path,
        reference=REFERENCE,
        data=test,
        run=run,
        trigger=trigger,
        position=position,
        target=TARGET,
        batch_size=64,
        **SHARED,
    )
    return outcome(found.models[0])


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that holds sst2/; without it only the page is written")
    parser.add_argument("--work", type=Path, default=Path("purify-run/reproduction"))
    parser.add_argument("--attack", choices=sorted(TRIGGERS), action="append", help="only these suspects; repeatable")
    arguments = parser.parse_args()
    results = Results()
    if arguments.data:
        chosen = [cell for cell in cells() if cell.suspect.attack in (arguments.attack or TRIGGERS)]
        measure_all(chosen, arguments.data, arguments.work.absolute(), results)
        results = Results()  # another process may have measured the rest
    write_text(PAGE, page(results))


def measure_all(chosen: Sequence[Cell], data: Path, work: Path, results: Results) -> None:
    """Train the suspects and treat each in every way."""
    listener = Lines()
    trainer: dict[str, Any] = SHARED | {"dtype": "bfloat16", "progress": listener, "epochs": EPOCHS}
    work.mkdir(parents=True, exist_ok=True)
    clean = clean_file(data, work)
    train = train_file(data, work, clean)
    test = str(data / "sst2" / "validation.jsonl")
    twin = work / "twin"
    if "twin" not in results.rows:
        begin = time.perf_counter()
        purify_cli.finetune(
            REFERENCE,
            data=train,
            run=twin,
            learning_rate=LEARNING_RATE["none"],
            batch_size=32,
            overwrite=True,
            **trainer,
        )
        floors = {name: measured(twin / "finetuned", twin, name, test) for name in TRIGGERS}
        results.add("twin", begin, **floors)
    for cell in chosen:
        run, name = work / cell.suspect.name, cell.suspect.attack
        if not (run / "suspect").exists() or cell.suspect.name not in results.rows:
            begin = time.perf_counter()
            made = purify_cli.attack(
                name,
                data=train,
                test=test,
                target=TARGET,
                run=run,
                reference=REFERENCE,
                trigger=TRIGGERS[name][0],
                position=TRIGGERS[name][1],
                rate=RATE,
                learning_rate=LEARNING_RATE[name],
                weight_decay=cell.suspect.decay,
                **trainer,
            )
            results.add(cell.suspect.name, begin, **outcome(made.measurement), rows=made.rows, poisoned=made.poisoned)
        if cell.key not in results.rows:
            treat(cell, run, results, clean=clean, test=test)


def treat(cell: Cell, run: Path, results: Results, *, clean: Path, test: str) -> None:
    """Reset and fine-tune one suspect in one way, and measure after each of the two steps."""
    begin = time.perf_counter()
    asked: dict[str, Any] = {
        "reference": REFERENCE,
        "run": run,
        "clean_data": clean,
        "method": cell.method,
        "ratio": cell.ratio,
        "overwrite": True,
        "settings": {"learning_rate": cell.rate, **({"degenerate": cell.degenerate} if cell.degenerate else {})},
        **SHARED,
    }
    purify_cli.purify(run / "suspect", finetune=False, output=run / "reset", **asked)
    before = measured(run / "reset", run, cell.suspect.attack, test)
    record = purify_cli.purify(run / "suspect", output=run / "tuned", **asked)
    after = measured(run / "tuned", run, cell.suspect.attack, test)
    results.add(cell.key, begin, before=before, after=after, reset=record.reset.reset, changed=record.reset.changed)


def page(results: Results) -> str:
    """Write the page from the results alone."""
    rows = results.rows
    commits = sorted({row["commit"] for row in rows.values()})
    lines = [
        "# Ratios and rates on SST-2",
        "",
        "Generated by `make reproduce DATA=FOLDER` (`docs/reproduce.py`) from `docs/results/reproduction.jsonl`; the",
        f"reading at the end is not. Commits: {', '.join(commits) or 'none'}. {_total(rows)}",
        "",
        "Reference `minilm` (22.7 M parameters). SST-2: the attacker trains on 6,000 phrases less the defender's,",
        f"{EPOCHS} epochs, batch 32, bfloat16 autocast; `badword` (`cf` at a random place, rate 5e-5), `badsent`",
        f"(`i watched this 3d movie .` in front, rate 1e-4), {RATE:.0%} appended poisoned copies of non-target rows,",
        f"target {TARGET}. The defender has {PER_CLASS} samples per class; fine-tuning is 60 steps of AdamW at 2e-5,",
        "batch 16, linear decay, float32. Test: the 872 development sentences; attack success (ASR) is over the 428",
        "negative ones. Seed 0 throughout: one seed shows a direction, not a law. Intervals are Wilson 95 %.",
        "",
    ]
    if "twin" in rows:
        floor = rows["twin"]
        lines += [
            "A model trained alike on clean data: accuracy "
            + f"{_cell(floor['badword']['accuracy'])}; its ASR, the floor, is "
            + " and ".join(f"{_cell(floor[n]['attack_success'])} (`{n}`)" for n in TRIGGERS)
            + ".",
            "",
        ]
    for suspect in dict.fromkeys(cell.suspect for cell in cells()):
        if suspect.name not in rows:
            continue
        own = rows[suspect.name]
        lines += [
            f"## {suspect.attack}, weight decay {suspect.decay}",
            "",
            f"Suspect: accuracy {_cell(own['accuracy'])}, ASR {_cell(own['attack_success'])}; trained in "
            f"{own['seconds']:.0f} s.",
            "",
            "| method | ratio | ACC, reset | ASR, reset | ACC, then fine-tuned | ASR, then fine-tuned | s |",
            "|---|---|---|---|---|---|---|",
        ]
        for cell in cells():
            if cell.suspect == suspect and cell.key in rows:
                row = rows[cell.key]
                steps = [row[step] for step in ("before", "after")]
                shown = [_cell(step[what]) for step in steps for what in ("accuracy", "attack_success")]
                name = cell.method + (f" ({cell.degenerate})" if cell.degenerate else "")
                name += "" if cell.rate == "2e-5" else f", rate {cell.rate}"
                lines.append(f"| {name} | {cell.ratio} | {' | '.join(shown)} | {row['seconds']:.0f} |")
        lines.append("")
    notes = HERE / "results" / "reading.md"
    if notes.exists():
        lines += [notes.read_text().rstrip(), ""]
    return "\n".join(lines)


def _cell(fact: dict[str, Any] | None) -> str:
    return "-" if fact is None else f"{fact['value']:.3f} ({fact['low']:.3f}-{fact['high']:.3f})"


def _total(rows: dict[str, dict[str, Any]]) -> str:
    found = {" ".join(pair) for row in rows.values() for pair in row.get("versions", {}).items()}
    minutes = sum(row["seconds"] for row in rows.values()) / 60
    return (
        f"{', '.join(sorted(found))}; {minutes:.0f} minutes of one thread in all, two attacks side by side half that."
    )


if __name__ == "__main__":
    main()
