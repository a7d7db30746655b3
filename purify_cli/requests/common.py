"""What the engine takes of the options that commands share."""

from dataclasses import dataclass, field
from typing import Self, final

from purify_cli.data.columns import Columns
from purify_cli.requests.shared import Examination, Shared
from purify_cli.runtime import Compute

__all__ = ["Common"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Machine, columns and what is allowed."""

    compute: Compute = field(default_factory=Compute)
    columns: Columns = field(default_factory=Columns)
    prompt_words: int = Shared.prompt_words
    """Words of a plain text that a language model takes for its prompt."""
    allow_pickle: bool = False
    allow_nonfinite: bool = False

    @classmethod
    def of(cls, request: Shared) -> Self:
        """Take them from a request.

        Raises:
            UsageError: If the device does not exist here, or this is one of several processes.
        """
        return cls(
            compute=Compute.choose(
                request.device,
                request.dtype,
                request.seed,
                batch_size=request.batch_size,
                max_length=request.max_length,
            ),
            columns=Columns(text=request.text_column, pair=request.pair_column, label=request.label_column),
            prompt_words=request.prompt_words,
            allow_pickle=request.allow_pickle,
            allow_nonfinite=isinstance(request, Examination) and request.allow_nonfinite,
        )
