"""Texts that get one of several labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, final

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint
from purify_cli.curvature.objectives import Scalars, gold_loss, own_labels
from purify_cli.data.batches import Batch, Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.sampling import require_classes
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.errors import RunFolderError
from purify_cli.evaluation.forward import predict
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LabelSet, LoadedModel, load_classifier, logits, pad_id, tokenizer_pad
from purify_cli.model.loaded import longest_of
from purify_cli.runtime import Compute
from purify_cli.tasks.base import TIMES, TriggerCounts
from purify_cli.tensors import TensorSource
from purify_cli.training import CROSS_ENTROPY, Objective
from purify_cli.trigger_search.flips import flips
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.inputs import UNCUT, SearchInputs
from purify_cli.trigger_search.margins import margins
from purify_cli.trigger_search.path_gradient import TriggeredBatch

__all__ = ["RATE", "Classification"]

WIDTHS: Final = ("hidden_size", "dim", "d_model", "n_embd")
"""Names of the width of a model in configurations."""

RATE: Final = 1e-4
WIDTH: Final = 384
"""Rate at which a teacher's answers are learnt, chosen on a model of that width; others learn at a rate in inverse
proportion. That keeps the size of AdamW's steps in a layer's output (Yang et al., "Tensor Programs V",
arXiv:2203.03466), and gives 5e-5 for a BERT of width 768, the usual one."""

CLASSES: Final = 2
"""Fewest classes of rows to tune on: of one class a model learns to say nothing else."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A ``Task``: classifiers of one label per text."""

    base: Checkpoint
    tokenizer: PreTrainedTokenizerBase
    compute: Compute
    labels: LabelSet
    max_length: int
    kind: Literal["classification"] = "classification"
    objective: Objective = CROSS_ENTROPY

    @property
    def defaults(self) -> Mapping[str, Mapping[str, Any]]:
        """The rate at which a teacher's answers are learnt; else the tables' own, which were chosen on classifiers."""
        config = self.base.config or {}
        width = next((config[name] for name in WIDTHS if isinstance(config.get(name), int)), WIDTH)
        return {"teaching": {"learning_rate": RATE * WIDTH / max(width, 1)}}

    @property
    def max_drop(self) -> float:
        """Two points of accuracy. Ours."""
        return 0.02

    @property
    def samples(self) -> str:
        """What clean samples are."""
        return "labelled rows"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def require_rows(self, rows: Sequence[Example]) -> None:
        """Refuse rows of a single class.

        Raises:
            DataError: If they are.
        """
        require_classes(rows, at_least=CLASSES)

    def encode(self, rows: Sequence[Example]) -> list[Encoded]:
        """Encode texts or pairs, cut to the length limit."""
        return encode(self.tokenizer, rows, max_length=self.max_length)

    def load(self, weights: TensorSource) -> LoadedModel:
        """Build a classifier of its own on the device."""
        return load_classifier(weights, config=self.base.config or {}, labels=self.labels, device=self.compute.device)

    def pad_id(self, loaded: LoadedModel) -> int:
        """Return the token id that a classifier is padded with."""
        return pad_id(tokenizer_pad(self.tokenizer), loaded.module)

    def gradient_rows(self, loaded: LoadedModel, rows: Sequence[Encoded]) -> int:
        """Return the batch size that was asked for."""
        del loaded, rows
        return self.compute.batch_size

    def scalars(self, estimator: Literal["empirical", "true", "hutchinson"]) -> Scalars:
        """Return the loss on the gold label, or what the Fisher over the model's own labels needs."""
        return own_labels if estimator == "true" else gold_loss

    def utility(self, loaded: LoadedModel, rows: Sequence[Example]) -> Proportion:
        """Count the labelled rows that a classifier gets right."""
        encoded = self.encode(rows)
        answers, _ = predict(loaded.module, encoded, self.compute, pad_id=self.pad_id(loaded))
        right = sum(answer == row.label for answer, row in zip(answers.tolist(), rows, strict=True))
        return Proportion.of(right, len(rows))

    def check_target(self, found: FoundTrigger) -> None:
        """Refuse a label that the suspect does not have.

        Raises:
            RunFolderError: If it is one.
        """
        if not isinstance(found.target, int) or not 0 <= found.target < self.labels.num_labels:
            raise RunFolderError(
                f"the record says that {found.text!r} flips texts to label {found.target}, and the suspect has "
                f"{self.labels.num_labels} labels",
                hint="Run `purify detect` on this suspect again.",
            )

    def carrying(self, found: FoundTrigger, row: Example, place: int, *, times: int = TIMES) -> Example:
        """Put a trigger where the model gets to see it, under the row's own label."""
        trigger = Trigger(" ".join([found.text] * times), position=found.position, source="found")
        key = row_key(self.compute.seed, place)
        return insert_in_view(self.tokenizer, trigger, row, key=key, max_length=self.max_length)

    def driven(self, found: Sequence[FoundTrigger], rows: Sequence[Example]) -> list[list[TriggeredBatch]]:
        """Return the rows of other labels that carry each trigger."""
        driven: list[list[TriggeredBatch]] = []
        for one in found:
            target = _label(one)
            times = 1 if one.is_phrase else TIMES
            others = [
                self.carrying(one, row, place, times=times) for place, row in enumerate(rows) if row.label != target
            ]
            if others:
                driven.append([TriggeredBatch(self.encode(others), partial(_margin, target=target))])
        return driven

    def search_inputs(
        self, suspect: LoadedModel, rows: Sequence[Example], *, control: LoadedModel | None = None
    ) -> SearchInputs:
        """Put a model, and one beside it, in front of rows."""
        return SearchInputs(
            suspect=suspect.module,
            control=(control or suspect).module,
            tokenizer=self.tokenizer,
            rows=rows,
            compute=replace(self.compute, max_length=self.max_length),
            pad_id=self.pad_id(suspect),
            positions=longest_of(suspect.module) or UNCUT,
        )

    def count_triggers(
        self, found: Sequence[FoundTrigger], suspect: LoadedModel, repaired: LoadedModel, held: Sequence[Example]
    ) -> list[TriggerCounts]:
        """Try each trigger in the rows of other labels that neither model calls its target without it."""
        asked = self.search_inputs(suspect, held, control=repaired)
        before, after = (asked.answers(module, held).tolist() for module in (asked.suspect, asked.control))
        counted: list[TriggerCounts] = []
        for one in found:
            target = _label(one)
            others = [place for place, row in enumerate(held) if row.label != target]
            rows = [held[place] for place in others if target not in (before[place], after[place])]
            trigger = Trigger(one.text, one.position, source="found")
            # Of pairs as the search accuses: in the second text, and in both.
            turned = flips(asked, rows, trigger, target, either_way=True) if rows else None
            counted.append(
                TriggerCounts(
                    rows=len(rows),
                    before=turned.suspect.successes if turned else 0,
                    after=turned.control.successes if turned else 0,
                    left_out=len(others) - len(rows),
                )
            )
        return counted


def _label(found: FoundTrigger) -> int:
    """Return the label that a trigger flips texts to.

    Raises:
        TypeError: If its target is a text.
    """
    if not isinstance(found.target, int):
        raise TypeError(f"{found.target!r} is no label")
    return found.target


def _margin(module: nn.Module, batch: Batch, *, target: int) -> Tensor:
    return margins(logits(module, batch).float(), target)
