"""What a ``WeightDefence`` is given, made from model folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from purify_cli.checkpoint import open_checkpoint, pair_checkpoints
from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.defences import METHODS
from purify_cli.model import label_set, load_classifier, load_tokenizer
from purify_cli.protocols import WeightDefence, WeightDefenceInputs


def rework_inputs(
    method: str,
    suspect: Path,
    reference: Path,
    examples: Sequence[Example] = (),
    *,
    others: Sequence[Path] = (),
    **settings: Any,
) -> WeightDefenceInputs:
    """Open suspect and reference, encode the clean rows, and check the settings of a method."""
    ours, theirs = open_checkpoint(str(suspect)), open_checkpoint(str(reference))
    pair, task, tokenizer = pair_checkpoints(ours, theirs), label_set(ours), load_tokenizer(theirs.files)
    row = METHODS[method]
    assert isinstance(row, WeightDefence)
    return WeightDefenceInputs(
        pair=pair,
        weights=pair.suspect,
        load=lambda weights: load_classifier(weights, config=theirs.config or {}, labels=task),
        texts=encode(tokenizer, examples, max_length=24),
        tokenizer=tokenizer,
        pad_id=tokenizer.pad_token_id,
        batch_size=8,
        device=torch.device("cpu"),
        others=[open_checkpoint(str(other)) for other in others],
        settings=row.check(settings),
    )
