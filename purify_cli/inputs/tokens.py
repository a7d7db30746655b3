"""What becomes of tokens that only the suspect's tokenizer knows, when a purified model is written."""

from dataclasses import dataclass
from typing import Final, final

from purify_cli.errors import PairError, printable
from purify_cli.inputs.opening import UNMATCHED
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.progress import Progress

__all__ = ["TokenFacts", "read_tokens"]

LISTED: Final = 1000
"""Tokens that a record lists."""

SHOWN: Final = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """Tokens that the suspect's tokenizer knows and the reference's does not."""

    kept: tuple[str, ...]
    """Added to the reference's tokenizer: texts are read with them."""
    gone: tuple[str, ...]
    """Not in the written tokenizer; the first of them where they are many."""
    gone_count: int
    reordered: bool
    """Whether the suspect numbers the same tokens otherwise; what was written follows the reference."""


def read_tokens(reading: SuspectTokenizer, progress: Progress) -> TokenFacts | None:
    """Say which of the suspect's tokens are kept and which are gone; None where it has none of its own.

    Raises:
        PairError: If its rows cannot be put in the order of the reference's tokens: the purified model would read
            texts with the rows of other words.
    """
    if reading.unmatched:
        raise PairError(UNMATCHED, hint="Give as --ref a model with the tokenizer that the suspect was tuned with.")
    if not reading.kept and not reading.gone and not reading.order:
        return None
    if reading.gone:
        names = ", ".join(printable(token) for token in reading.gone[:SHOWN]) + ", …" * (len(reading.gone) > SHOWN)
        progress.note(
            f"the written tokenizer is the reference's; {len(reading.gone)} tokens that the suspect added ({names}) "
            "are gone"
        )
    if reading.kept:
        progress.note(f"{len(reading.kept)} tokens that the suspect added are kept")
    if reading.order:
        progress.note("the suspect numbers tokens otherwise; rows are matched by token, and written as the reference's")
    return TokenFacts(
        kept=tuple(reading.kept),
        gone=tuple(reading.gone[:LISTED]),
        gone_count=len(reading.gone),
        reordered=reading.order is not None,
    )
