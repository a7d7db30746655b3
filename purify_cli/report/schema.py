"""The records that commands exchange: every key of every JSON document, in one place.

A record is what a command prints with ``--format json``, what it leaves in the run folder, and what the next command
of a pipeline reads. Records hold no time and no duration, so that the same inputs and seed give the same bytes; times
go to ``log.jsonl``. Shares and probabilities are in [0, 1]; an unknown number is null, never NaN.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

__all__ = [
    "RECORDS",
    "SCHEMA_VERSION",
    "AttackRecord",
    "ComparisonCounts",
    "CurvatureFacts",
    "DataFacts",
    "Detection",
    "DifferenceFact",
    "EmbeddingRowFact",
    "Evaluation",
    "FileFact",
    "FinetuneRecord",
    "GammaFact",
    "GroupFact",
    "IndicatorFacts",
    "Level",
    "ModelFacts",
    "ModelMeasurement",
    "ProportionFact",
    "Purification",
    "Record",
    "ResetCounts",
    "SkippedFact",
    "TrainingFacts",
    "TriggerFact",
    "Utility",
    "Verdict",
]

SCHEMA_VERSION: Final = 1

Level = Literal["clean", "incomplete", "suspicious", "poisoned"]


class _Part(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """A part of a record: no unknown keys, no changes, no NaN."""


class ModelFacts(_Part, frozen=True):
    """A model, and the exact bytes that were read."""

    path: str = Field(description="As the user named it, made absolute where it is a local path.")
    sha256: str = Field(description="Of the weights; for shards, of the sorted list of their hashes.")


class DataFacts(_Part, frozen=True):
    """A data set as it was read."""

    path: str
    sha256: str = Field(description="Of the rows after reading, so that csv and jsonl of the same rows agree.")
    rows: int
    per_label: dict[str, int] = Field(description="Rows per label number; empty for unlabelled data.")


class FileFact(_Part, frozen=True):
    """A file of tensors beside the record."""

    path: str
    sha256: str


class TriggerFact(_Part, frozen=True):
    """A trigger and where it is put."""

    text: str
    position: Literal["start", "end", "random"]
    target: int


class ProportionFact(_Part, frozen=True):
    """A share with its Wilson 95 % interval."""

    successes: int
    total: int
    value: float
    low: float
    high: float


class Record(_Part, frozen=True):
    """What every record carries."""

    schema_version: Literal[1] = SCHEMA_VERSION
    versions: dict[str, str] = Field(description="Versions of this tool, Python and the libraries that computed.")
    seed: int
    run: str = Field(description="The run folder, absolute.")
    settings: dict[str, Any] = Field(description="Every setting that could change the result.")


class DifferenceFact(_Part, frozen=True):
    """A difference between suspect and reference other than weight values."""

    kind: str
    subject: str
    detail: str


class SkippedFact(_Part, frozen=True):
    """A tensor that was not compared, and why."""

    name: str
    side: Literal["suspect", "reference"]
    kind: str
    reason: str
    explained: bool
    entries: int


class ComparisonCounts(_Part, frozen=True):
    """What was compared."""

    dimensions: int = Field(description="d: comparable dimensions.")
    tensors: int
    moved: int = Field(description="Dimensions whose drift is not exactly zero.")
    skipped: list[SkippedFact]


class CurvatureFacts(_Part, frozen=True):
    """How the curvature was estimated."""

    estimator: str
    samples: int
    effective_samples: float
    clamped: float = Field(description="Share of negative entries, which count as 0; only Hutchinson's has any.")
    source: Literal["clean data", "unlabelled data", "built-in probes"]
    file: FileFact


class IndicatorFacts(_Part, frozen=True):
    """Which indicator scored the dimensions."""

    name: str
    settings: dict[str, Any]
    file: FileFact
    degenerate: dict[str, int] = Field(description="Dimensions per special rule of the indicator.")


class GammaFact(_Part, frozen=True):
    """The fit of r to the Gamma(1/2, 2k) law of clean drift; a description, never a test (see docs/footguns.md)."""

    k: float | None = Field(description="Maximum-likelihood scale: the mean of r.")
    shape: float | None = Field(description="Shape if it is left free; 0.5 under the law.")
    ks_distance: float | None = Field(description="Kolmogorov-Smirnov distance to the law, 0 to 1.")
    quantile_ratio: float | None = Field(description="99 % quantile over median; 14.6 under the law.")
    entries: int


class GroupFact(_Part, frozen=True):
    """Drift and score of one tensor or one layer."""

    name: str
    entries: int
    moved: int
    relative_drift: float | None = Field(description="Norm of the drift over norm of the reference.")
    max_drift: float
    mean_score: float
    top_share: float = Field(description="Share of this group's dimensions among the top 1 % of all scores.")
    top_count: int


class EmbeddingRowFact(_Part, frozen=True):
    """A row of the word embedding that drifted far."""

    row: int
    token: str
    drift_norm: float
    seen: bool | None = Field(description="Whether the texts gave this row any curvature; null without curvature.")


class Verdict(_Part, frozen=True):
    """What the evidence amounts to."""

    level: Level
    reasons: list[str]
    not_measured: list[str]


class Detection(Record, frozen=True):
    """``detection.json``: what ``purify detect`` found."""

    kind: Literal["detection"] = "detection"
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    verdict: Verdict
    comparison: ComparisonCounts
    differences: list[DifferenceFact]
    nonfinite: dict[str, int]
    curvature: CurvatureFacts | None
    indicator: IndicatorFacts
    gamma: GammaFact | None
    layers: list[GroupFact]
    tensors: list[GroupFact]
    embedding_rows: list[EmbeddingRowFact]


class ResetCounts(_Part, frozen=True):
    """What was reset."""

    ratio: float = Field(description="Of a posterior blend: the mean probability of being poisoned.")
    dimensions: int
    reset: int = Field(description="round(ratio · dimensions); of a posterior blend, what it amounts to.")
    changed: int = Field(description="Reset dimensions whose value differed from the reference.")
    beyond_ratio: int = Field(description="Reset on request above the ratio (non-finite entries).")
    per_tensor: dict[str, int]


class TrainingFacts(_Part, frozen=True):
    """A fine-tuning run."""

    settings: dict[str, Any]
    steps: int
    first_loss: float
    last_loss: float
    stopped_early: bool


class Utility(_Part, frozen=True):
    """Clean accuracy before and after, on what rows, against what budget."""

    measured_on: Literal["held-back clean samples", "the clean samples that were used for it"]
    before: ProportionFact
    after: ProportionFact
    max_drop: float | None
    within_budget: bool | None = Field(description="null where no budget was given.")


class Purification(Record, frozen=True):
    """``purification.json``: what ``purify purify`` did, and the manifest inside the purified folder."""

    kind: Literal["purification"] = "purification"
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    method: str
    indicator: str | None
    curvature: CurvatureFacts | None
    reset: ResetCounts
    mask: FileFact | None
    training: TrainingFacts | None
    utility: Utility | None
    output: ModelFacts
    verdict: Verdict


class AttackRecord(Record, frozen=True):
    """``attack.json``: how ``purify attack`` made a suspect."""

    kind: Literal["attack"] = "attack"
    attack: str
    reference: ModelFacts | None
    data: DataFacts
    trigger: TriggerFact
    rate: float
    label_mode: Literal["dirty", "clean", "mix"]
    rows: int
    poisoned: int
    relabelled: int
    natural: int = Field(description="Clean rows that held the trigger already.")
    suspect: ModelFacts | None = Field(description="null with --data-only.")
    training_data: FileFact | None = Field(description="The poisoned rows; written with --data-only.")
    training: TrainingFacts | None
    measurement: "ModelMeasurement | None"


class FinetuneRecord(Record, frozen=True):
    """``finetune.json``: what ``purify finetune`` trained."""

    kind: Literal["finetune"] = "finetune"
    start: ModelFacts
    reference: ModelFacts | None
    data: DataFacts
    training: TrainingFacts
    output: ModelFacts


class ModelMeasurement(_Part, frozen=True):
    """How one model behaves on one data set."""

    name: str
    model: ModelFacts
    accuracy: ProportionFact
    attack_success: ProportionFact | None = Field(description="Over rows whose true label is not the target.")
    target_rate: ProportionFact | None = Field(description="The same rows without the trigger, called the target.")
    trigger_lost: int = Field(description="Rows left out because truncation cut the trigger.")


class Evaluation(Record, frozen=True):
    """``evaluation.json``: models side by side on the same rows."""

    kind: Literal["evaluation"] = "evaluation"
    data: DataFacts
    trigger: TriggerFact | None
    models: list[ModelMeasurement]


AttackRecord.model_rebuild()

RECORDS: Final[Mapping[str, type[Record]]] = MappingProxyType(
    {
        "detection": Detection,
        "purification": Purification,
        "attack": AttackRecord,
        "finetune": FinetuneRecord,
        "evaluation": Evaluation,
    }
)
"""Record types by their ``kind``."""
