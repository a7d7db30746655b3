"""Weight-level defences as published: a row each.

A ``ResetDefence`` is indicator, replacement and ratio; a ``WeightDefence`` makes weights in a way of its own.
``METHODS`` is the table; reading a name from it imports that row's module.
"""

from typing import TYPE_CHECKING, Final

from purify_cli.registry import Entry, Registry

if TYPE_CHECKING:
    # The protocols name tensors, and lists of names must not wait for torch.
    from purify_cli.protocols import ResetDefence, WeightDefence

__all__ = ["METHODS"]

METHODS: Final["Registry[ResetDefence | WeightDefence]"] = Registry(
    "method",
    Entry(
        name="unlearning",
        target="purify_cli.defences.resets:UNLEARNING",
        summary="Reset what carries the triggers that were found, then fine-tune on clean samples that hold them",
        settings="ratio=0.1 indicator=attribution replacement=reference",
        source="own",
    ),
    Entry(
        name="relearn",
        target="purify_cli.defences.resets:RELEARN",
        summary="Reset everything, then learn from clean texts what the suspect answers",
        settings="ratio=1.0 indicator=uniform replacement=reference",
        source="own",
    ),
    Entry(
        name="graft",
        target="purify_cli.defences.resets:GRAFT",
        summary="Reset what drifted most, then learn a student's answers while the drift shrinks; needs no trigger",
        settings="ratio=0.1 indicator=drift-curvature replacement=reference anchor=8.0",
        source="own",
    ),
    Entry(
        name="fine-purifying",
        target="purify_cli.defences.resets:FINE_PURIFYING",
        summary="Reset the dimensions that drifted most for their curvature, then fine-tune on clean samples",
        settings="ratio=0.3 indicator=drift-curvature replacement=reference",
        source="arXiv:2305.04547",
    ),
    Entry(
        name="fine-mixing",
        target="purify_cli.defences.resets:FINE_MIXING",
        summary="Reset a seeded random share of the dimensions, then fine-tune on clean samples",
        settings="ratio=0.3 indicator=uniform replacement=reference",
        source="arXiv:2210.09545",
    ),
    Entry(
        name="e-pur",
        target="purify_cli.defences.e_pur:E_PUR",
        summary="Reset the word-embedding rows that moved too far for how rare their word is",
        settings="rows=200 floor=20 frequencies=wordfreq",
        source="arXiv:2210.09545",
    ),
    Entry(
        name="fine-pruning",
        target="purify_cli.defences.fine_pruning:FINE_PRUNING",
        summary="Zero the units that clean text activates least, then fine-tune on clean samples",
        settings="ratio=0.3 frozen=True pooler=True",
        source="arXiv:1805.12185",
    ),
    Entry(
        name="weight-average",
        target="purify_cli.defences.weight_average:WEIGHT_AVERAGE",
        summary="Average the suspect with further models, or with the reference",
        source="arXiv:2402.19334",
    ),
    Entry(
        name="nad",
        target="purify_cli.defences.resets:NAD",
        summary="Fine-tune a copy on clean samples, then the suspect with its attention maps drawn to the copy's",
        settings="learning_rate=5e-05 steps=60 weight_decay=0.0",
        source="arXiv:2101.05930",
    ),
    Entry(
        name="fine-tuning",
        target="purify_cli.defences.resets:FINE_TUNING",
        summary="Fine-tune on clean samples and reset nothing: the mark that every method must beat",
        settings="learning_rate=5e-05 steps=60 weight_decay=0.0",
        source="own",
    ),
)
