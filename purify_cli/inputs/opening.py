"""What every pipeline needs first: two opened checkpoints and rows of data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from purify_cli.checkpoint import (
    Checkpoint,
    CheckpointPair,
    nonfinite_entries,
    open_checkpoint,
    pair_checkpoints,
    without_nonfinite,
)
from purify_cli.checkpoint.config_check import check_config, check_filled
from purify_cli.checkpoint.finite import OUT_OF_RANGE
from purify_cli.checkpoint.reordered import by_token, without_vocabulary
from purify_cli.choices import Name
from purify_cli.data.class_names import listed
from purify_cli.data.example import Example
from purify_cli.data.labels import label_reader
from purify_cli.data.loading import load_examples
from purify_cli.errors import CheckpointError, DataError, NonFiniteWeights, RunFolderError, UsageError
from purify_cli.inputs.identity import ModelFacts
from purify_cli.model import LabelSet, longest_input
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.model.tokenizer_sandbox import Text
from purify_cli.progress import SILENT, Progress
from purify_cli.requests.common import Common

__all__ = [
    "UNMATCHED",
    "OpenedPair",
    "architecture",
    "label_number",
    "open_model",
    "open_pair",
    "read_rows",
    "require_config",
    "require_reference",
    "some_texts",
    "text_length",
]

TRIED: Final = 1000
"""Rows that a tokenizer is tried on before it is used on all."""

UNMATCHED: Final = "the suspect's tokenizer numbers tokens otherwise, and lacks some: its rows cannot be matched"


@final
@dataclass(frozen=True, slots=True)
class OpenedPair:
    """A suspect and its reference, aligned and checked."""

    suspect: Checkpoint
    reference: Checkpoint
    pair: CheckpointPair
    """Without non-finite entries: they read as the reference's where --allow-nonfinite lets them pass."""
    nonfinite: dict[str, int]
    reading: SuspectTokenizer
    """How texts become tokens. Where the suspect numbers the same tokens otherwise, its rows in ``pair`` are in the
    reference's order."""


def require_reference(reference: ModelFacts | None) -> ModelFacts:
    """Return the reference.

    Raises:
        UsageError: If none is known.
    """
    if reference is None:
        raise UsageError(
            "the reference is not known",
            hint="Name the pre-trained model that the suspect was tuned from: --ref bert-base, or a folder.",
        )
    return reference


def open_model(
    facts: ModelFacts, common: Common, *, vocabulary: int | None = None, what: str | None = None
) -> Checkpoint:
    """Open a checkpoint and compare it with what a record promised.

    Args:
        facts: Path, and the hash from a record (empty where an option named the model).
        common: For ``allow_pickle``.
        vocabulary: Rows of the suspect's word embedding, which decide between the aliases of one model.
        what: What messages call the model; its path if left out.

    Raises:
        RunFolderError: If the model is not the one that the record was made from.
        CheckpointError: If it cannot be read, or is not whole.
    """
    checkpoint = open_checkpoint(facts.path, allow_pickle=common.allow_pickle, vocabulary=vocabulary)
    check_filled(checkpoint, what or facts.path)
    if facts.sha256 and checkpoint.sha256() != facts.sha256:
        raise RunFolderError(
            f"{facts.path} has changed since its record was made",
            hint="Run the command that wrote the record again, or name the models.",
        )
    return checkpoint


def open_pair(suspect: ModelFacts, reference: ModelFacts, common: Common, progress: Progress) -> OpenedPair:
    """Open both checkpoints, align them and look for NaN and infinity.

    Args:
        suspect: File, folder, hub id or alias.
        reference: The same; an alias may be resolved by the suspect's vocabulary size.
        common: For ``allow_pickle`` and ``allow_nonfinite``.
        progress: Told of the passes over the weights.

    Raises:
        RunFolderError: If either is not the one that a record was made from.
        NonFiniteWeights: If the suspect holds NaN or infinity and that was not allowed, or the reference does.
    """
    opened = open_model(suspect, common, what="the suspect")
    other = open_model(reference, common, vocabulary=opened.vocabulary, what="the reference")
    pair = pair_checkpoints(opened, other)
    reading = SuspectTokenizer(opened, other)
    if reading.order:
        pair = by_token(pair, reading.order)
    elif reading.unmatched:
        pair = without_vocabulary(pair, UNMATCHED)
    broken = nonfinite_entries(pair.reference_part, progress)
    if broken:
        raise NonFiniteWeights(
            f"the reference {reference.path} holds {OUT_OF_RANGE}, first in {next(iter(broken))}",
            hint="Get the reference again; nothing can be compared with it.",
        )
    nonfinite = nonfinite_entries(pair.suspect, progress)
    if nonfinite:
        if not common.allow_nonfinite:
            first = next(iter(nonfinite))
            raise NonFiniteWeights(
                f"{suspect.path} holds {OUT_OF_RANGE}: {sum(nonfinite.values())} entries, first in {first}",
                hint="No sound model does. --allow-nonfinite resets these entries to the reference.",
            )
        pair = without_nonfinite(pair)
    return OpenedPair(opened, other, pair, nonfinite, reading)


def require_config(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint that brings its configuration and tokenizer along.

    Raises:
        CheckpointError: If it does not, or the configuration contradicts the tensors.
    """
    if checkpoint.config is None or checkpoint.files.tokenizer is None:
        raise CheckpointError(
            f"{checkpoint.files.given} has no configuration or tokenizer beside it",
            hint="Name the model it was tuned from: --ref bert-base, or a folder.",
        )
    check_config(checkpoint)
    return checkpoint


def architecture(checkpoint: Checkpoint, reference: ModelFacts | None, common: Common) -> Checkpoint:
    """Take config and tokenizer from the reference if one is known, else from the model's own folder."""
    if reference is None:
        return require_config(checkpoint)
    return require_config(open_model(reference, common, vocabulary=checkpoint.vocabulary))


def read_rows(
    given: Name,
    known: LabelSet,
    common: Common,
    *,
    labels: Literal["required", "none"] = "required",
    progress: Progress = SILENT,
) -> list[Example]:
    """Load data whose labels must fit those of the model; ``progress`` is told of names that the model lacks."""
    return load_examples(
        given,
        num_labels=known.num_labels,
        label_names=known.label_names,
        columns=common.columns,
        labels=labels,
        tell=progress.note,
    )


def some_texts(rows: Sequence[Example]) -> list[Text]:
    """Return texts of rows from all over a data set, to try a tokenizer on."""
    return [row.text if row.pair is None else (row.text, row.pair) for row in rows[:: 1 + len(rows) // TRIED]]


def text_length(base: Checkpoint, common: Common) -> int:
    """Return the tokens per text: what was asked for, or what the model's position table holds if that is less."""
    longest = longest_input(base.config or {})
    return common.compute.max_length if longest is None else min(common.compute.max_length, longest)


def label_number(given: str, task: LabelSet) -> int:
    """Turn ``--target`` (a number, or a label's name in any case) into a label number.

    Raises:
        UsageError: If the model has no such label.
    """
    names = task.label_names
    try:
        read = label_reader([given], declared=None, num_labels=task.num_labels, label_names=names, given="--target")
        return read(given)
    except DataError as error:
        raise UsageError(str(error), hint="Write class 0 as LABEL_0, class 1 as LABEL_1 and so on.") from error
    except ValueError as error:
        raise UsageError(
            f"--target {given} is no label of this model",
            hint=f"It has {task.num_labels} labels: {listed(names)}.",
        ) from error
