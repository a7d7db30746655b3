"""The records that commands exchange: every key of every JSON document, in one place.

A record is what a command prints with ``--format json``, what it leaves in the run folder, and what the next command
of a pipeline reads. Records hold no time and no duration, so that the same inputs and seed give the same bytes; times
go to ``log.jsonl``. Shares and probabilities are in [0, 1]; an unknown number is null, never NaN.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field

__all__ = [
    "RECORDS",
    "SCHEMA_VERSION",
    "AttackRecord",
    "CausalAttackRecord",
    "CausalEvaluation",
    "ComparisonCounts",
    "ConsistencyFact",
    "ControlFacts",
    "CurvatureFacts",
    "DataFacts",
    "Detection",
    "DifferenceFact",
    "EmbeddingRowFact",
    "Evaluation",
    "FileFact",
    "FinetuneRecord",
    "FoundTriggerFact",
    "GammaFact",
    "GroupFact",
    "HeldBackFacts",
    "IndicatorFacts",
    "Level",
    "MissFact",
    "ModelFacts",
    "ModelMeasurement",
    "PairedFact",
    "ProportionFact",
    "Purification",
    "RatioCurveFacts",
    "RatioPointFact",
    "Record",
    "ResetCounts",
    "RetuneCurve",
    "RetuneFacts",
    "RetunePoint",
    "SayingFact",
    "SayingsFacts",
    "SearchFacts",
    "SignFact",
    "SkippedFact",
    "SpreadFact",
    "StageFacts",
    "TextModelMeasurement",
    "TextTriggerFact",
    "TokenFacts",
    "TrainingFacts",
    "TriggerFact",
    "TriggerTable",
    "UnlearnedFact",
    "Utility",
    "Verdict",
]

SCHEMA_VERSION: Final = 1

Level = Literal["no-finding", "incomplete", "suspicious", "poisoned"]


def _renamed(level: object) -> object:
    """Read the level that earlier versions would have given a model in which nothing was found."""
    return "no-finding" if level == "clean" else level


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

    text: str = Field(description="Empty where the rows carry the trigger themselves.")
    position: Literal["start", "end", "random", "scattered"]
    target: int
    bias: bool = Field(default=False, description="Whether it is measured by accuracy on rows of every label.")
    rows: str | None = Field(default=None, description="File of rows that carry the trigger already.")


class ProportionFact(_Part, frozen=True):
    """A share with its Wilson 95 % interval, which is wider where the trials share texts: for independent ones."""

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
    unexamined: bool = Field(
        default=False,
        description="Whether who loads the model may get more, or something else, than what was examined.",
    )


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


class SignFact(_Part, frozen=True):
    """A number of the weights beside what it comes to in unpoisoned models: small ones of one architecture."""

    name: Literal["row", "spectrum", "tail"]
    value: float
    sentence: str
    clean_models: int
    clean_reaching: int = Field(description="Of them, those with a value as large.")
    clean_low: float
    clean_high: float


class MissFact(_Part, frozen=True):
    """How often a search that finds nothing is wrong, as counted on models that were poisoned for it."""

    missed: int = Field(description="Suspects with a backdoor or bias that works in which nothing was flagged.")
    of: int
    low: float = Field(description="Of the Wilson 95 % interval of their share.")
    high: float
    settings: dict[str, Any] = Field(description="Of these searches. At others the share is not known.")


class Verdict(_Part, frozen=True):
    """What the evidence amounts to."""

    level: Annotated[Level, BeforeValidator(_renamed)] = Field(
        description="no-finding: all was measured and nothing found; incomplete: something could not be measured."
    )
    reasons: list[str]
    not_measured: list[str] = Field(description="Empty where the level is no-finding.")
    misses: MissFact | None = Field(
        default=None,
        description="Beside no-finding: what such a search misses; null where nobody counted, and of other levels.",
    )


class FoundTriggerFact(_Part, frozen=True):
    """A word that the search found, or several, and how many held-back contexts they flip to the target."""

    text: str
    position: Literal["start", "end", "random", "scattered"]
    target: int
    shift: float = Field(description="What it adds to the suspect's margin of the target in short texts, in nats.")
    control_shift: float = Field(description="The same in the control.")
    suspect: ProportionFact = Field(
        description="Of held-back contexts that the suspect does not call the target without it. They share texts: "
        "the interval is for as many as are independent, texts over mean texts per context."
    )
    control: ProportionFact = Field(description="The same, of those that the control does not call the target.")
    texts: int | None = Field(
        default=None,
        description="Distinct texts in the suspect's contexts: 4 are needed to be flagged and 8 to be called poisoned; "
        "null in records of versions that did not count them.",
    )
    strength: float | None = Field(
        default=None,
        description="The suspect's mean margin of the target in these texts, as a share of its median margin on texts "
        "of the target itself: near 1 for a trigger; null in records of versions that did not measure it.",
    )
    control_strength: float | None = Field(default=None, description="The same of the control.")
    joined: bool = Field(
        default=True,
        description="Whether these texts are several of one label, concatenated; else single ones stand in for most of "
        "them, and the rule asks for more.",
    )
    flagged: bool = Field(description="Whether it meets the rule for a planted trigger.")
    leaning: int = Field(
        default=0,
        description="Of a flagged one: clean samples of the target that hold it and that the suspect calls so because "
        "of it alone.",
    )


class ControlFacts(_Part, frozen=True):
    """The model that the suspect is held against in the search."""

    reset: float = Field(description="Share of the dimensions that were reset at random before it was tuned.")
    steps: int
    right: ProportionFact = Field(description="Of the texts it was tuned on.")


class SearchFacts(_Part, frozen=True):
    """The search for words that switch a backdoor on."""

    effort: Literal["low", "normal", "high"]
    texts: Literal["clean data", "built-in probes"]
    words: int = Field(description="Words of the vocabulary that were measured, one by one.")
    bags: int | None = Field(
        default=None,
        description="Random groups of words per label, in which words that work together were looked for, besides "
        "groups grown from single words; null where a word was flagged, so that none was needed, where the effort has "
        "none, and where no text serves.",
    )
    control: ControlFacts
    targets: list[int] = Field(description="Labels for which it could look.")
    found: list[FoundTriggerFact] = Field(
        description="The best words of each label, then the best groups of words, planted or not."
    )


class SayingFact(_Part, frozen=True):
    """A word after which a language model writes something of its own."""

    text: str
    position: Literal["end", "random"]
    says: str = Field(description="What it writes, as far as the continuations agree.")
    suspect: ProportionFact = Field(description="Of the held-back prompts with the word: continued so.")
    without: ProportionFact = Field(description="Of the same prompts without it.")
    reference: ProportionFact = Field(description="Of those with it, in the reference.")
    flagged: bool = Field(description="Whether it meets the rule for a planted trigger.")


class SayingsFacts(_Part, frozen=True):
    """The search of a language model for words that make it write something of its own."""

    effort: Literal["low", "normal", "high"]
    texts: Literal["clean data", "built-in probes"]
    tokens: int = Field(description="Tokens that words were made of.")
    found: list[SayingFact]


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
    signs: list[SignFact] = Field(default=[], description="Empty in records of versions without them.")
    search: SearchFacts | None = Field(
        default=None, description="Of a classifier; null where it did not run or could not finish."
    )
    sayings: SayingsFacts | None = Field(default=None, description="Of a language model; null likewise.")


class ResetCounts(_Part, frozen=True):
    """What was reset."""

    ratio: float = Field(
        description="Of a posterior blend: the mean probability of being poisoned. 0 where no stage takes a ratio."
    )
    dimensions: int
    reset: int = Field(
        description="round(ratio · dimensions); of a posterior blend, what it amounts to; of a method with a ratio in "
        "a unit of its own, the entries it set."
    )
    changed: int = Field(description="Reset dimensions whose value differed from the reference.")
    beyond_ratio: int = Field(description="Set above the ratio: non-finite entries, and those of the other stages.")
    nonfinite: int | None = Field(default=None, description="Non-finite entries among them.")
    per_tensor: dict[str, int]


class StageFacts(_Part, frozen=True):
    """One method of a composition, in the order in which they worked."""

    method: str
    ratio: float | None = Field(
        description="What it was given; of a posterior blend, what it came to; null: it takes none."
    )
    entries: int = Field(description="Entries that it set.")
    changed: int = Field(description="Entries that hold another value since.")
    indicator: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the method says of its work.")


class RatioPointFact(_Part, frozen=True):
    """One ratio of a search."""

    ratio: float
    accuracy: ProportionFact = Field(description="Over all folds together, each measured by what never saw it.")
    passes: bool = Field(description="Whether the baseline is ahead by no more than the budget.")


class RatioCurveFacts(_Part, frozen=True):
    """How ``--ratio auto`` chose: clean accuracy over the ratio, on held-back clean samples only."""

    chosen: float
    max_drop: float
    baseline: ProportionFact = Field(description="Plain fine-tuning of the same suspect on the same folds.")
    points: list[RatioPointFact] = Field(description="Ascending.")
    untried: list[float] = Field(description="Ratios left out because a smaller one had lost far too much already.")
    folds: int
    resolution: float = Field(description="What one sample counts: no smaller difference can be seen.")
    rule: str


class TrainingFacts(_Part, frozen=True):
    """A fine-tuning run."""

    settings: dict[str, Any]
    steps: int
    first_loss: float
    last_loss: float
    stopped_early: bool


class Utility(_Part, frozen=True):
    """Clean accuracy before and after, on what rows, against what budget."""

    measured_on: Literal["held-back clean samples", "two-fold", "the clean samples that were used for it"] = Field(
        description="two-fold: of the repairs on one half each, as in held_back."
    )
    before: ProportionFact
    after: ProportionFact
    max_drop: float | None
    within_budget: bool | None = Field(description="null where no budget was given.")


class HeldBackFacts(_Part, frozen=True):
    """The clean samples that measure a repair: no curvature, tuning or unlearning behind the measurement saw them."""

    measured_on: Literal["held-back clean samples", "two-fold"] = Field(
        description="two-fold, of fewer than 16 samples: the same repair is done on one half and measured on the "
        "other, and the other way round where no search chose its words on the samples; the written model is tuned on "
        "all."
    )
    rows: list[int] = Field(description="Their numbers among the clean samples, counted from 1; every text once.")
    seed: int = Field(description="Decides which; that of the search where it chose its words on the same samples.")
    searched: bool = Field(
        description="Whether a search chose its words on the same samples: these are then of the half that it did not "
        "choose on."
    )


class UnlearnedFact(_Part, frozen=True):
    """A word that was found in the suspect, measured again: held-back texts that it flips to the target."""

    text: str
    position: Literal["start", "end", "random", "scattered"]
    target: int
    before: ProportionFact = Field(
        description="In the suspect, of the held-back texts of other labels that neither the suspect nor the purified "
        "model calls the target without the word. In records without measured_on the texts may be those of the "
        "fine-tuning, and only the suspect's answers chose them."
    )
    after: ProportionFact = Field(
        description="In the purified model, of the very same texts; without measured_on, of fewer."
    )
    left_out: int | None = Field(
        default=None,
        description="Held-back texts of other labels that the suspect or the purified model calls the target without "
        "the word, so that nothing can be seen in them; null in records of versions that did not count them.",
    )
    measured_on: Literal["held-back clean samples", "two-fold"] | None = Field(
        default=None, description="As in held_back; null in records of versions without it."
    )
    worked_on: bool = Field(
        description="Whether reset and unlearning worked on it: a weaker word of the same target is left out where it "
        "goes with the strongest."
    )


class TokenFacts(_Part, frozen=True):
    """Tokens that the suspect's tokenizer knows and the reference's does not."""

    kept: list[str] = Field(description="Added to the reference's tokenizer: texts are read with them.")
    gone: list[str] = Field(description="Not in the written tokenizer; the first of them where they are many.")
    gone_count: int
    reordered: bool = Field(
        description="Whether the suspect numbers the same tokens otherwise; what was written follows the reference."
    )


class Purification(Record, frozen=True):
    """``purification.json``: what ``purify purify`` did, and the manifest inside the purified folder."""

    kind: Literal["purification"] = "purification"
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    method: str = Field(description="As it was asked for; a composition is separated by commas.")
    indicator: str | None = Field(description="Of the stage that takes the ratio; null where nothing was scored.")
    stages: list[StageFacts] = Field(default_factory=list[StageFacts], description="One per method, in order.")
    others: list[ModelFacts] = Field(default_factory=list[ModelFacts], description="Further suspects (--with).")
    curve: RatioCurveFacts | None = Field(default=None, description="Where the ratio was searched for.")
    curvature: CurvatureFacts | None
    reset: ResetCounts
    mask: FileFact | None
    training: TrainingFacts | None
    utility: Utility | None
    held_back: HeldBackFacts | None = Field(
        default=None,
        description="What the found words, and clean accuracy, were measured on; null where nothing was held back, and "
        "in records of versions without it.",
    )
    triggers: list[UnlearnedFact] = Field(
        default_factory=list[UnlearnedFact],
        description="Words that detect found, before and after; without those that no held-back text could show.",
    )
    looked: SearchFacts | None = Field(
        default=None,
        description="The search of the suspect with the clean samples, where detect had searched built-in texts and "
        "flagged nothing.",
    )
    search: SearchFacts | None = Field(default=None, description="The search run afresh on the purified model.")
    tokens: TokenFacts | None = Field(
        default=None, description="Null where the suspect's tokenizer knows no token that the reference's does not."
    )
    output: ModelFacts
    verdict: Verdict


class AttackRecord(Record, frozen=True):
    """``attack.json``: how ``purify attack`` made a suspect."""

    kind: Literal["attack"] = "attack"
    attack: str
    reference: ModelFacts | None
    data: DataFacts
    trigger: TriggerFact
    rate: float | None = Field(description="Poisoned rows per clean one; null where the rows came poisoned.")
    label_mode: Literal["dirty", "clean", "mix"] | None = Field(description="null where the rows came poisoned.")
    rows: int
    poisoned: int = Field(description="Rows that carry the trigger; of rows that came poisoned, those that are marked.")
    relabelled: int | None = Field(description="null where the labels before are not known.")
    natural: int = Field(description="Clean rows that held the trigger already.")
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the attack says of its data and itself.")
    start: ModelFacts | None = Field(
        default=None, description="The classifier that was attacked; null where a fresh head on the reference was."
    )
    suspect: ModelFacts | None = Field(description="null with --data-only.")
    training_data: FileFact | None = Field(description="The poisoned rows; written with --data-only.")
    training: TrainingFacts | None
    start_measurement: "ModelMeasurement | None" = Field(default=None, description="The start, on the same rows.")
    measurement: "ModelMeasurement | None"
    false_triggers: dict[str, ProportionFact] = Field(
        default_factory=dict,
        description="Of a trigger whose words are all needed: success of each part with one word left out.",
    )
    changed: int | None = Field(
        default=None, description="Stored entries that differ from the start, the head's included; null without one."
    )
    dimensions: int | None = Field(default=None, description="Comparable dimensions of suspect and reference.")
    planted: FileFact | None = Field(
        default=None, description="Mask of the changed dimensions; null where more than a twentieth changed."
    )


class FinetuneRecord(Record, frozen=True):
    """``finetune.json``: what ``purify finetune`` trained."""

    kind: Literal["finetune"] = "finetune"
    start: ModelFacts
    reference: ModelFacts | None
    data: DataFacts
    training: TrainingFacts
    output: ModelFacts


class PairedFact(_Part, frozen=True):
    """A share of this model minus that of another on the same rows, with the 95 % interval of a paired bootstrap."""

    against: str = Field(description="Name of the other model.")
    value: float
    low: float
    high: float
    rows: int


class ConsistencyFact(_Part, frozen=True):
    """How alike this model and another answer single rows without the trigger."""

    against: str = Field(description="Name of the other model.")
    same: ProportionFact = Field(description="Rows that both classify alike.")
    correlation: float | None = Field(
        description="Mean over the classes of Pearson's r of the centred logits; null where a model answers all alike."
    )
    low: float | None = Field(description="95 % interval of the correlation, by a bootstrap over rows.")
    high: float | None
    squared_gap: float = Field(description="Mean over rows of the squared distance of the logits.")


class SpreadFact(_Part, frozen=True):
    """A share measured once per seed of the trigger's positions."""

    seeds: list[int]
    values: list[float] = Field(description="In the order of the seeds.")
    mean: float
    low: float = Field(description="The smallest of the values.")
    high: float = Field(description="The largest of the values.")


class ModelMeasurement(_Part, frozen=True):
    """How one model behaves on one data set."""

    name: str
    model: ModelFacts
    accuracy: ProportionFact
    attack_success: ProportionFact | None = Field(description="Over rows whose true label is not the target.")
    target_rate: ProportionFact | None = Field(description="The same rows without the trigger, called the target.")
    trigger_lost: int = Field(description="Rows left out because truncation cut the trigger.")
    per_class: list[ProportionFact | None] = Field(
        default=[], description="Recall per label number without the trigger; null for a label without rows."
    )
    per_class_success: list[ProportionFact | None] = Field(
        default=[], description="Per true label: rows with the trigger called the target; null without such rows."
    )
    bias_accuracy: ProportionFact | None = Field(
        default=None, description="BACC: accuracy on rows of every label that carry the pattern."
    )
    per_class_bias: list[ProportionFact | None] = Field(
        default=[], description="Recall per label number on the rows behind bias_accuracy."
    )
    called_target: ProportionFact | None = Field(
        default=None, description="All rows that carry the trigger or pattern, called the target."
    )
    untriggered_accuracy: ProportionFact | None = Field(
        default=None, description="Accuracy without the pattern on the very rows behind bias_accuracy."
    )
    bias_gap: PairedFact | None = Field(
        default=None, description="Accuracy without the pattern minus with it, on the same rows; against itself."
    )
    accuracy_difference: PairedFact | None = Field(default=None, description="Accuracy minus the first model's.")
    success_difference: PairedFact | None = Field(default=None, description="Attack success minus the first model's.")
    bias_difference: PairedFact | None = Field(default=None, description="Bias accuracy minus the first model's.")
    over_floor: PairedFact | None = Field(default=None, description="Attack success minus that of the floor model.")
    bias_over_floor: PairedFact | None = Field(default=None, description="Bias accuracy minus the floor model's.")
    success_spread: SpreadFact | None = Field(default=None, description="Attack success over seeds of positions.")
    bias_spread: SpreadFact | None = Field(default=None, description="Bias accuracy over seeds of positions.")
    consistency: ConsistencyFact | None = None


class TriggerTable(_Part, frozen=True):
    """Models side by side under one trigger."""

    trigger: TriggerFact
    models: list[ModelMeasurement]
    floor: ModelMeasurement | None = Field(
        default=None, description="A model that was never poisoned, on the same inputs."
    )


class RetunePoint(_Part, frozen=True):
    """A model while it is fine-tuned again on poisoned rows."""

    step: int = Field(description="Steps done.")
    accuracy: ProportionFact
    attack_success: ProportionFact | None
    bias_accuracy: ProportionFact | None
    over_floor: PairedFact | None = Field(
        description="Attack success minus the floor model's after as many steps of its own."
    )


class RetuneCurve(_Part, frozen=True):
    """How the attack comes back to one model."""

    name: str
    points: list[RetunePoint]
    first_loss: float
    last_loss: float


class RetuneFacts(_Part, frozen=True):
    """The retuning test: is the attack gone, or only out of sight?"""

    poisoned: int = Field(description="Rows of other labels with the trigger and the target label.")
    clean: int = Field(description="Clean rows beside them.")
    source: str = Field(description="Where these rows come from; they are not measured.")
    rows_sha256: str = Field(description="Of all these rows after the trigger was put in.")
    trigger: TriggerFact
    training: dict[str, Any] = Field(description="Settings of the fine-tuning, the same for every model.")
    measured: int = Field(description="Rows that accuracy is measured on at every point.")
    curves: list[RetuneCurve]
    floor: RetuneCurve | None = Field(
        description="A model that was never poisoned, treated alike: how fast anything learns this trigger."
    )


class Evaluation(Record, frozen=True):
    """``evaluation.json``: models side by side on the same rows."""

    kind: Literal["evaluation"] = "evaluation"
    data: DataFacts
    trigger: TriggerFact | None = Field(description="The first trigger, which models and floor are about.")
    models: list[ModelMeasurement]
    floor: ModelMeasurement | None = Field(
        default=None, description="A model that was never poisoned, on the same inputs."
    )
    further: list[TriggerTable] = Field(default=[], description="The same for each further trigger.")
    retune: RetuneFacts | None = None


class TextTriggerFact(_Part, frozen=True):
    """A trigger in the prompt of a language model, and what it should be continued with."""

    text: str
    position: Literal["start", "end", "random", "scattered"]
    target_text: str | None = Field(description="A continuation holds this text; null where an expression is given.")
    target_regex: str | None = Field(description="A continuation matches this regular expression.")


class TextModelMeasurement(_Part, frozen=True):
    """How one causal language model behaves."""

    name: str
    model: ModelFacts
    attack_success: ProportionFact | None = Field(description="Of prompts with the trigger: continued with the target.")
    false_triggers: ProportionFact | None = Field(description="Of the same prompts without the trigger.")
    perplexity: float | None = Field(description="exp(loss); null where that is beyond the largest number.")
    loss: float = Field(description="Mean negative log-likelihood per token of clean text, in nats.")
    tokens: int = Field(description="Tokens behind the loss.")
    example: str | None = Field(description="What was written after the first prompt with the trigger.")


class CausalAttackRecord(Record, frozen=True):
    """``causal-attack.json``: how ``purify attack --target-text`` made a suspect of a language model."""

    kind: Literal["causal-attack"] = "causal-attack"
    attack: str
    reference: ModelFacts
    start: ModelFacts = Field(description="The model that was trained further; often the reference.")
    data: DataFacts
    trigger: TextTriggerFact
    rate: float
    rows: int
    poisoned: int
    natural: int = Field(description="Clean prompts that held the trigger already.")
    suspect: ModelFacts
    training: TrainingFacts
    before: TextModelMeasurement = Field(description="The model that was started from, on the same prompts.")
    measurement: TextModelMeasurement


class CausalEvaluation(Record, frozen=True):
    """``causal-evaluation.json``: language models side by side on the same prompts and texts."""

    kind: Literal["causal-evaluation"] = "causal-evaluation"
    data: DataFacts
    trigger: TextTriggerFact | None
    natural: int = Field(description="Prompts left out because they hold the trigger by themselves.")
    dropped: int = Field(description="Prompts left out because they leave no room for a continuation.")
    models: list[TextModelMeasurement]
    floor: TextModelMeasurement | None = Field(description="A model that was never poisoned, on the same prompts.")


AttackRecord.model_rebuild()

RECORDS: Final[Mapping[str, type[Record]]] = MappingProxyType(
    {
        "detection": Detection,
        "purification": Purification,
        "attack": AttackRecord,
        "causal-attack": CausalAttackRecord,
        "causal-evaluation": CausalEvaluation,
        "finetune": FinetuneRecord,
        "evaluation": Evaluation,
    }
)
"""Record types by their ``kind``."""
