"""The curvature of a suspect: measured, or taken from a file where every input matches."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any, Final, Literal, cast, final, get_args

import torch

from purify_cli.checkpoint import nonfinite_entries, open_tensors, write_and_open
from purify_cli.choices import Estimator
from purify_cli.curvature import hutchinson_diagonal, mean_squared_gradients
from purify_cli.data.batches import Encoded, batches
from purify_cli.data.example import Example
from purify_cli.errors import CheckpointError, UsageError
from purify_cli.inputs.identity import FileFact
from purify_cli.inputs.opening import OpenedPair
from purify_cli.progress import Progress
from purify_cli.tasks.base import Task
from purify_cli.tensors import InMemory, TensorSource, TensorSpec

__all__ = ["CurvatureData", "CurvatureFacts", "Measured", "Source", "check_estimator", "curvature_for"]


Source = Literal["clean data", "unlabelled data", "built-in probes"]
"""The texts that curvature is measured on."""

DRAWS: Final = 8
"""Sign vectors of Hutchinson's estimate: each costs a backward pass over a backward pass. Ours."""


@final
@dataclass(frozen=True, slots=True)
class CurvatureData:
    """Rows for the curvature, and where they came from."""

    rows: Sequence[Example]
    source: Source
    asked: Estimator = "auto"

    @property
    def estimator(self) -> Literal["empirical", "true", "hutchinson"]:
        """Unless asked otherwise, the empirical Fisher of clean samples; without them the true one of the model's own.

        Raises:
            UsageError: If the estimator needs labels and there are none.
        """
        labelled = self.source == "clean data"
        if self.asked == "auto":
            return "empirical" if labelled else "true"
        if self.asked != "true" and not labelled:
            raise UsageError(
                f"--estimator {self.asked} needs labels", hint="Give labelled --clean-data, or use --estimator true."
            )
        return self.asked


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CurvatureFacts:
    """How the curvature was estimated."""

    estimator: str
    samples: int
    effective_samples: float
    clamped: float
    """Share of negative entries, which count as 0; only Hutchinson's has any."""
    source: Source
    file: FileFact


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """Curvature as a source, with what the records say of it."""

    source: TensorSource
    facts: CurvatureFacts


def check_estimator(data: CurvatureData | None, settings: Mapping[str, Any]) -> None:
    """Refuse an estimator that does not suit labels or settings; nothing is read or measured.

    Raises:
        UsageError: If it does not.
    """
    if data is not None and data.estimator == "hutchinson" and settings.get("degenerate") == "plain":
        raise UsageError(
            "degenerate=plain would rank Hutchinson's negative entries first, which are noise",
            hint="Use degenerate=guard, or another --estimator.",
        )


def curvature_for(
    opened: OpenedPair,
    task: Task | None,
    data: CurvatureData | None,
    *,
    path: Path,
    progress: Progress,
) -> Measured:
    """Measure the suspect's curvature, or take it from a file where every input matches (without data: the models).

    Args:
        opened: Suspect and reference.
        task: Of the suspect; None of a bare encoder, which has no loss.
        data: What to measure on; None takes whatever the file holds for this pair.
        path: The file.
        progress: Told of the measurement.

    Raises:
        UsageError: If there is nothing to measure it on, or the estimator does not suit labels.
    """
    recipe: dict[str, Any] = {
        "suspect": opened.suspect.sha256(),
        "reference": opened.reference.sha256(),
        "nonfinite": opened.nonfinite,
        "tool": version("purify-cli"),
    }
    encoded: Sequence[Encoded] = []
    if data is not None and task is not None:
        encoded = task.encode(data.rows)
        # What the model gets stands for texts, tokenizer and length at once.
        ids = [(row.ids, row.type_ids, row.label, *([row.start] if row.start else [])) for row in encoded]
        recipe |= {"estimator": data.estimator, "texts": hashlib.sha256(repr(ids).encode()).hexdigest()}
        if data.estimator == "hutchinson":
            recipe["seed"] = task.compute.seed
    if stored := _stored(path, recipe, opened.pair.suspect_part.specs):
        matching = "every input matches" if data is not None else "the models match"
        progress.note(f"curvature: taken from the run folder, {matching}")
        return stored
    if data is None or task is None:
        raise UsageError(
            "this indicator needs curvature, and there is nothing to measure it on",
            hint="Give --clean-data FILE, or choose --indicator drift.",
        )
    source, about = _measure(opened, task, data, encoded, progress)
    about["recipe"] = json.dumps(dict(recipe), sort_keys=True)
    source, sha = write_and_open(path, source, metadata=about)
    return Measured(source, _facts(about, path, sha))


def _stored(path: Path, recipe: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Measured | None:
    """Return the stored curvature; None if there is none, it was made from something else, or it is damaged."""
    if not path.is_file():
        return None
    try:
        stored = open_tensors(path)
        made_from = json.loads(stored.metadata["recipe"])
        if not isinstance(made_from, dict) or not made_from.items() >= recipe.items():
            return None
        shapes = {name: (torch.float32, spec.shape) for name, spec in specs.items()}
        if {name: (spec.dtype, spec.shape) for name, spec in stored.specs.items()} != shapes:
            return None
        facts = _facts(stored.metadata, path, stored.sha256())
        sound = 0 <= facts.clamped <= 1 and 0 < facts.effective_samples < inf and not nonfinite_entries(stored)
        return Measured(stored, facts) if sound else None
    except (CheckpointError, RecursionError, ValueError, KeyError):
        return None


def _facts(about: Mapping[str, str], path: Path, sha256: str) -> CurvatureFacts:
    """Read what the file says of itself."""
    if about["source"] not in get_args(Source):
        raise ValueError(f"{about['source']} are no texts that curvature is measured on")
    return CurvatureFacts(
        estimator=about["estimator"],
        samples=int(about["samples"]),
        effective_samples=float(about["effective_samples"]),
        clamped=float(about["clamped"]),
        source=cast("Source", about["source"]),
        file=FileFact(path=str(path), sha256=sha256),
    )


def _measure(
    opened: OpenedPair,
    task: Task,
    data: CurvatureData,
    encoded: Sequence[Encoded],
    progress: Progress,
) -> tuple[TensorSource, dict[str, str]]:
    """Measure; return the curvature, and what the file says of it."""
    estimator = data.estimator
    label = f"Hutchinson, {DRAWS} draws" if estimator == "hutchinson" else f"{estimator} Fisher"
    progress.note(f"measuring curvature on {len(data.rows)} texts ({data.source}, {label})")
    loaded = task.load(opened.pair.suspect)
    wanted = {p: n for p, n in loaded.names.items() if n in opened.pair.comparables}
    texts = batches(encoded, batch_size=task.gradient_rows(loaded, encoded), pad_id=task.pad_id(loaded))
    scalars = task.scalars(estimator)
    measured = (
        hutchinson_diagonal(
            loaded.module,
            texts,
            draws=DRAWS,
            seed=task.compute.seed,
            parameters=set(wanted),
            objective=scalars,
            progress=progress,
        )
        if estimator == "hutchinson"
        else mean_squared_gradients(
            loaded.module, texts, scalars, estimator=estimator, parameters=set(wanted), progress=progress
        )
    )
    held = {wanted[p]: t for p, t in measured.tensors.items() if p in wanted}
    # A tensor that the task never reaches (an unused pooler) has no curvature: that is a zero, not a gap. Of a resized
    # vocabulary only the common rows, which come first, are comparable.
    tensors = {
        name: held[name].narrow(0, 0, spec.shape[0]).contiguous() if name in held else torch.zeros(spec.shape)
        for name, spec in opened.pair.suspect_part.specs.items()
    }
    return InMemory(tensors), {
        "estimator": label,
        "clamped": repr(measured.clamped),
        "samples": str(measured.samples),
        "effective_samples": repr(measured.effective_samples),
        "source": data.source,
    }
