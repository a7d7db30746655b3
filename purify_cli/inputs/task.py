"""Which task a suspect is, and the task bound to an opened pair."""

from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint
from purify_cli.choices import Name
from purify_cli.data.continuations import load_texts
from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.errors import CheckpointError, UsageError
from purify_cli.inputs.opening import OpenedPair, read_rows, require_config, text_length
from purify_cli.model import LabelSet, has_head, label_set
from purify_cli.model.causal import causal_length, is_causal
from purify_cli.progress import SILENT, Progress
from purify_cli.requests.common import Common
from purify_cli.tasks.base import Task
from purify_cli.tasks.causal import CausalLanguage
from purify_cli.tasks.classification import Classification

__all__ = [
    "causal_task",
    "classification_task",
    "find_task",
    "open_task",
    "read_clean",
    "read_unlabelled",
    "require_causal",
]


def find_task(opened: OpenedPair, common: Common) -> Task | None:
    """Return the task of a suspect; None of a bare encoder, which answers nothing.

    Raises:
        CheckpointError: If its head or its configuration cannot be used.
    """
    base, tokenizer = opened.reference, opened.reading.tokenizer
    if has_head(opened.suspect):
        return classification_task(base, tokenizer, common, label_set(opened.suspect))
    return causal_task(base, tokenizer, common) if is_causal(opened.suspect, base.config) else None


def classification_task(
    base: Checkpoint, tokenizer: PreTrainedTokenizerBase, common: Common, labels: LabelSet
) -> Classification:
    """Bind a classifier's task to what brings configuration and tokenizer along."""
    return Classification(
        base=base, tokenizer=tokenizer, compute=common.compute, labels=labels, max_length=text_length(base, common)
    )


def causal_task(base: Checkpoint, tokenizer: PreTrainedTokenizerBase, common: Common) -> CausalLanguage:
    """Bind a language model's task to what brings configuration and tokenizer along."""
    longest = causal_length(require_config(base).config or {})
    return CausalLanguage(
        base=base,
        tokenizer=tokenizer,
        compute=common.compute,
        prompt_words=common.prompt_words,
        max_length=common.compute.max_length if longest is None else min(common.compute.max_length, longest),
        longest=longest,
    )


def require_causal(checkpoint: Checkpoint, base: Checkpoint) -> Checkpoint:
    """Return a checkpoint that is a language model.

    Args:
        checkpoint: Weights.
        base: Whose configuration serves where the weights bring none.

    Raises:
        UsageError: If it is none.
    """
    if not is_causal(checkpoint, base.config):
        raise UsageError(
            f"{checkpoint.files.given} is no causal language model",
            hint="--target-text and --target-regex are for models that write; classifiers take --target LABEL.",
        )
    return checkpoint


def open_task(opened: OpenedPair, common: Common) -> Task:
    """Return the task of a suspect.

    Raises:
        CheckpointError: If it has none.
    """
    task = find_task(opened, common)
    if task is None:
        raise CheckpointError(
            "the suspect has no classification head and is no causal language model",
            hint="It must hold a layer such as classifier.weight with one row per label, or write text.",
        )
    return task


def read_unlabelled(given: Name | None, task: Task | None, common: Common) -> list[Example]:
    """Load texts of a classifier's task.

    Args:
        given: The file; none gives no text.
        task: Of the suspect; None of a bare encoder.
        common: For the columns.

    Raises:
        DataError: If they cannot be read, or have labels.
    """
    return [] if given is None or task is None else load_examples(given, columns=common.columns, labels="none")


def read_clean(given: Name, task: Task, common: Common, *, progress: Progress = SILENT) -> list[Example]:
    """Load clean rows of a task; of a classifier, labelled ones.

    Args:
        given: The file.
        task: Of the suspect.
        common: For the columns.
        progress: Told of names that the model lacks.

    Raises:
        DataError: If they cannot be read, or do not suit the task.
    """
    if isinstance(task, Classification):
        return read_rows(given, task.labels, common, progress=progress)
    return load_texts(given, common.columns)
