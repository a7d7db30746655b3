"""What ``purify purify`` is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, final

from purify_cli.session.curvature_cache import Estimator
from purify_cli.session.opening import Common
from purify_cli.session.origin import Origin
from purify_cli.trigger_search.budget import Effort

__all__ = ["AUTO", "FOLDS", "PurifyRequest"]

AUTO: Final = "auto"

FOLDS: Final = 4
"""Parts of the clean samples for ``--ratio auto``: each is measured after scoring and tuning on the other three
quarters. Ours: more folds cost as many trainings per ratio more."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PurifyRequest:
    """What the user asked for."""

    origin: Origin
    clean_data: str | None = None
    method: str = AUTO
    """One method, or several separated by commas, which work on each other's weights in this order; ``auto`` is
    unlearning where a planted word is known and there are samples to show it in, else fine-purifying."""
    others: Sequence[str] = ()
    """Further suspects, for a method that takes them."""
    indicator: str | None = None
    ratio: float | Literal["auto"] | None = None
    folds: int = FOLDS
    """For ``auto``."""
    estimator: Estimator = "auto"
    finetune: bool = True
    effort: Effort | None = None
    """Of a new search on the purified model; None: none."""
    max_drop: float | None = None
    output: Path | None = None
    overwrite: bool = False
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    common: Common = field(default_factory=Common)
