"""Curvature and scores of a pair: computed, or taken from the run folder where every input matches."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Literal, final

import torch

from purify_cli.checkpoint import open_checkpoint, write_tensors
from purify_cli.curvature import diagonal_fisher, hutchinson_diagonal
from purify_cli.data.batches import Encoded, batches, encode
from purify_cli.data.example import Example
from purify_cli.errors import CheckpointError, UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.model import Task, load_classifier, load_tokenizer, pad_id, tokenizer_pad
from purify_cli.pipelines.inputs import Common, Opened, text_length
from purify_cli.pipelines.run_folder import RunFolder
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs
from purify_cli.report.schema import CurvatureFacts, FileFact, IndicatorFacts
from purify_cli.tensors import InMemory, TensorSource

__all__ = ["ClassifierData", "Estimator", "Scored", "parse_settings", "score"]


Estimator = Literal["auto", "empirical", "true", "hutchinson"]

DRAWS: Final = 8
"""Sign vectors of Hutchinson's estimate: each costs a backward pass over a backward pass. Ours."""


@final
@dataclass(frozen=True, slots=True)
class ClassifierData:
    """Rows for the curvature, and where they came from."""

    rows: Sequence[Example]
    task: Task
    source: Literal["clean data", "unlabelled data", "built-in probes"]
    asked: Estimator = "auto"

    @property
    def estimator(self) -> Literal["empirical", "true", "hutchinson"]:
        """Unless asked otherwise, the empirical Fisher of gold labels; without them the true one of the model's own.

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
@dataclass(frozen=True, slots=True)
class Scored:
    """Scores as a source, with what the records say of them."""

    scores: TensorSource
    curvature: TensorSource | None
    curvature_facts: CurvatureFacts | None
    indicator_facts: IndicatorFacts


def parse_settings(indicator: Indicator, given: Mapping[str, str], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``--set name=value`` into typed settings over the method's and the indicator's defaults.

    Raises:
        UsageError: If a name is unknown or a value does not have its default's type.
    """
    settings = {**indicator.defaults, **fixed}
    for name, text in given.items():
        if name not in settings:
            known = ", ".join(sorted(settings)) or "it has none"
            raise UsageError(f"{indicator.name} has no setting {name!r}", hint=f"Its settings: {known}.")
        kind = type(settings[name])
        try:
            settings[name] = kind(text)
        except ValueError as error:
            raise UsageError(f"--set {name}={text} is not a {kind.__name__}", hint="See `purify methods`.") from error
    return indicator.check(settings)


def score(
    opened: Opened,
    data: ClassifierData | None,
    *,
    indicator_name: str,
    settings: Mapping[str, Any],
    run: RunFolder,
    common: Common,
    progress: Progress,
) -> Scored:
    """Score every comparable dimension and store curvature and scores in the run folder."""
    indicator: Indicator = INDICATORS[indicator_name]
    if data is not None and data.estimator == "hutchinson" and settings.get("degenerate") == "plain":
        raise UsageError(
            "degenerate=plain would rank Hutchinson's negative entries first, which are noise",
            hint="Use degenerate=guard, or another --estimator.",
        )
    curvature: TensorSource | None = None
    facts: CurvatureFacts | None = None
    if indicator.needs_curvature:
        curvature, facts = _curvature(opened, data, run, common, progress)
    fitted = indicator.fit(
        IndicatorInputs(
            suspect=opened.pair.suspect_part,
            reference=opened.pair.reference_part,
            curvature=curvature,
            seed=common.runtime.seed,
            settings=settings,
        ),
        progress,
    )
    degenerate = dict(getattr(fitted, "degenerate", {}))
    metadata = {"indicator": indicator_name, "settings": json.dumps(dict(settings), sort_keys=True)}
    run.create()
    sha = write_tensors(run.indicator, fitted, metadata=metadata)
    facts_of_indicator = IndicatorFacts(
        name=indicator_name,
        settings=dict(settings),
        file=FileFact(path=str(run.indicator), sha256=sha),
        degenerate=degenerate,
    )
    return Scored(open_checkpoint(str(run.indicator)), curvature, facts, facts_of_indicator)


def _curvature(
    opened: Opened, data: ClassifierData | None, run: RunFolder, common: Common, progress: Progress
) -> tuple[TensorSource, CurvatureFacts]:
    """Take the stored curvature where every input matches (without data: where the models do), else measure it."""
    recipe: dict[str, Any] = {
        "suspect": opened.suspect.sha256(),
        "reference": opened.reference.sha256(),
        "nonfinite": opened.nonfinite,
        "tool": version("purify-cli"),
    }
    encoded: Sequence[Encoded] = []
    if data is not None:
        encoded = encode(
            load_tokenizer(opened.reference.files), data.rows, max_length=text_length(opened.reference, common)
        )
        # What the model gets stands for texts, tokenizer and length at once.
        ids = hashlib.sha256(repr([(row.ids, row.type_ids, row.label) for row in encoded]).encode()).hexdigest()
        recipe |= {"estimator": data.estimator, "texts": ids}
        if data.estimator == "hutchinson":
            recipe["seed"] = common.runtime.seed
    if _stored_recipe(run).items() >= recipe.items():
        matching = "every input matches" if data is not None else "the models match"
        progress.note(f"curvature: taken from the run folder, {matching}")
    else:
        if data is None:
            raise UsageError(
                "this indicator needs curvature, and there is nothing to measure it on",
                hint="Give --clean-data FILE, or choose --indicator drift.",
            )
        _measure(opened, data, encoded, recipe=recipe, run=run, common=common, progress=progress)
    measured = open_checkpoint(str(run.curvature))
    about = measured.metadata
    return measured, CurvatureFacts.model_validate(
        {
            "estimator": about["estimator"],
            "clamped": float(about["clamped"]),
            "samples": int(about["samples"]),
            "effective_samples": float(about["effective_samples"]),
            "source": about["source"],
            "file": FileFact(path=str(run.curvature), sha256=measured.sha256()),
        }
    )


def _stored_recipe(run: RunFolder) -> dict[str, Any]:
    """Return what the stored curvature was made from; nothing if there is none or it cannot be read."""
    if not run.curvature.is_file():
        return {}
    try:
        recipe = json.loads(open_checkpoint(str(run.curvature)).metadata["recipe"])
    except (CheckpointError, ValueError, KeyError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _measure(
    opened: Opened,
    data: ClassifierData,
    encoded: Sequence[Encoded],
    *,
    recipe: Mapping[str, Any],
    run: RunFolder,
    common: Common,
    progress: Progress,
) -> None:
    estimator = data.estimator
    label = f"Hutchinson, {DRAWS} draws" if estimator == "hutchinson" else f"{estimator} Fisher"
    progress.note(f"measuring curvature on {len(data.rows)} texts ({data.source}, {label})")
    config = opened.reference.config or {}
    loaded = load_classifier(opened.pair.suspect, config=config, task=data.task, device=common.runtime.device)
    padding = pad_id(tokenizer_pad(load_tokenizer(opened.reference.files)), loaded.module)
    wanted = {p: n for p, n in loaded.names.items() if n in opened.pair.comparables}
    texts, names = batches(encoded, batch_size=common.batch_size, pad_id=padding), set(wanted)
    measured = (
        hutchinson_diagonal(
            loaded.module, texts, draws=DRAWS, seed=common.runtime.seed, parameters=names, progress=progress
        )
        if estimator == "hutchinson"
        else diagonal_fisher(loaded.module, texts, kind=estimator, parameters=names, progress=progress)
    )
    held = {wanted[p]: t for p, t in measured.tensors.items() if p in wanted}
    # A tensor that the task never reaches (an unused pooler) has no curvature: that is a zero, not a gap. Of a resized
    # vocabulary only the common rows, which come first, are comparable.
    tensors = {
        name: held[name].narrow(0, 0, spec.shape[0]).contiguous() if name in held else torch.zeros(spec.shape)
        for name, spec in opened.pair.suspect_part.specs.items()
    }
    facts = {
        "recipe": json.dumps(dict(recipe), sort_keys=True),
        "estimator": label,
        "clamped": repr(measured.clamped),
        "samples": str(measured.samples),
        "effective_samples": repr(measured.effective_samples),
        "source": data.source,
    }
    run.create()
    write_tensors(run.curvature, InMemory(tensors), metadata=facts)
