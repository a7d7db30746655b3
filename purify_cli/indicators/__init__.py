"""Suspicion scores per dimension; the larger the score, the earlier the reset.

``INDICATORS`` is the table; reading a row imports its module. Scores follow the encoding of
``purify_cli.protocols.Indicator``: finite float32 whose bit patterns, read as unsigned integers, give the order.
"""

from typing import TYPE_CHECKING, Final

from purify_cli.registry import Entry, Registry

if TYPE_CHECKING:
    # The protocols name tensors, and lists of names must not wait for torch.
    from purify_cli.protocols import Indicator

__all__ = ["INDICATORS"]

INDICATORS: Final["Registry[Indicator]"] = Registry(
    "indicator",
    Entry(
        name="drift-curvature",
        target="purify_cli.indicators.drift_curvature:DRIFT_CURVATURE",
        summary="Squared drift over curvature: movement that clean data does not explain",
        settings="exponent=1.0 degenerate=guard damping=1.0",
        source="arXiv:2305.04547",
    ),
    Entry(
        name="attribution",
        target="purify_cli.indicators.attribution:ATTRIBUTION",
        summary="Share in the effect of a trigger that was found, for the cost of its reset",
        settings="exponent=0.5",
        source="own",
    ),
    Entry(
        name="drift",
        target="purify_cli.indicators.drift:DRIFT",
        summary="Absolute drift: whatever moved furthest",
        source="own",
    ),
    Entry(
        name="inverse-curvature",
        target="purify_cli.indicators.inverse_curvature:INVERSE_CURVATURE",
        summary="One over curvature: what clean data holds least, however far it moved",
        settings="degenerate=guard damping=1.0",
        source="own",
    ),
    Entry(
        name="embedding-rows",
        target="purify_cli.indicators.embedding_rows:EMBEDDING_ROWS",
        summary="Drift of word-embedding rows over the logarithm of their word's frequency",
        settings="floor=20 frequencies=none tokenizer=''",
        source="arXiv:2210.09545",
    ),
    Entry(
        name="uniform",
        target="purify_cli.indicators.uniform:UNIFORM",
        summary="Seeded noise: a random choice of dimensions, as in Fine-mixing",
        source="arXiv:2210.09545",
    ),
)
