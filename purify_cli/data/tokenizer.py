"""What a tokenizer must be able to do here; every tokenizer of transformers can."""

from typing import Any, Protocol, runtime_checkable

__all__ = ["Tokenizer", "embedding_rows", "limit_ids"]


@runtime_checkable
class Tokenizer(Protocol):
    """The part of ``transformers.PreTrainedTokenizerBase`` that turning texts into token ids needs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Encode texts; the result holds ``input_ids`` and, where there are two kinds of token, ``token_type_ids``."""
        ...

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Number of special tokens around a text or a pair."""
        ...


def limit_ids(tokenizer: Tokenizer, rows: int | None) -> None:
    """Note on a tokenizer how many rows the word embedding has that its token ids go to; None if that is not known.

    Encoding refuses ids beyond it: a tokenizer may know more tokens than a model, as long as no text holds them.
    """
    tokenizer.__dict__["embedding_rows"] = rows


def embedding_rows(tokenizer: Tokenizer) -> int | None:
    """Return what ``limit_ids`` noted."""
    return getattr(tokenizer, "embedding_rows", None)
