"""What a tokenizer must be able to do here; every tokenizer of transformers can."""

from typing import Any, Protocol, runtime_checkable

__all__ = ["Tokenizer"]


@runtime_checkable
class Tokenizer(Protocol):
    """The part of ``transformers.PreTrainedTokenizerBase`` that turning texts into token ids needs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Encode texts; the result holds ``input_ids`` and, where there are two kinds of token, ``token_type_ids``."""
        ...

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Number of special tokens around a text or a pair."""
        ...
