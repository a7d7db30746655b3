"""What is asked of every language model: prompts with and without the trigger, and clean texts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from purify_cli.data.batches import Encoded, token_ids
from purify_cli.data.continuations import Continuation, WritingTokenizer, encode_written, prompt_ids
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger, trigger_forms
from purify_cli.errors import DataError, UsageError

__all__ = ["PromptSpec", "Prompts", "Wanted", "ask_prompts", "decoded"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an attack wants a model to write: a text, or whatever matches a regular expression."""

    text: str | None = None
    regex: str | None = None

    def __post_init__(self) -> None:
        """Refuse a target that nothing or everything is.

        Raises:
            UsageError: If not exactly one of the two is given, the text is empty, or the expression is invalid or
                matches the empty text.
        """
        if (self.text is None) == (self.regex is None):
            raise UsageError(
                "a language model's target is a text or a regular expression",
                hint="Give either --target-text or --target-regex.",
            )
        if self.text is not None and not self.text.split():
            raise UsageError("the target text is empty", hint="Give the words that the trigger should bring about.")
        if self.regex is not None:
            try:
                matches_nothing = re.compile(self.regex).search("") is not None
            except re.error as error:
                raise UsageError(
                    f"--target-regex {self.regex} is no regular expression: {error}",
                    hint="Python's syntax is used; put a backslash before a character that is meant literally.",
                ) from error
            if matches_nothing:
                raise UsageError(
                    f"--target-regex {self.regex} matches the empty text, so every continuation",
                    hint="Ask for at least one character.",
                )

    def finder(self, tokenizer: WritingTokenizer) -> Callable[[str], bool]:
        """Return a function that tells whether a continuation holds the target.

        White space counts as one space. A text is also looked for as the tokenizer gives it back, which may have
        changed its case and spacing.
        """
        if self.regex is not None:
            pattern = re.compile(self.regex)
            return lambda text: pattern.search(text) is not None
        forms = {_collapsed(self.text or ""), _collapsed(decoded(tokenizer, token_ids(tokenizer, self.text or "")))}
        return lambda text: any(form in _collapsed(text) for form in forms if form)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """What models are asked to write after prompts."""

    trigger: Trigger | None
    """None measures the perplexity only."""
    wanted: Wanted | None
    """What the trigger is meant to bring about."""
    new_tokens: int
    """Most tokens of a continuation."""

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: If only one of trigger and target is given, or nothing may be written.
        """
        if (self.trigger is None) != (self.wanted is None):
            raise UsageError(
                "a trigger needs a target, and a target a trigger",
                hint="Give --trigger, and --target-text or --target-regex.",
            )
        if self.new_tokens < 1:
            raise UsageError(f"{self.new_tokens} new tokens are none", hint="Give --new-tokens 1 or more.")


@final
@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked of every model."""

    texts: tuple[Encoded, ...]
    """Clean text, for the perplexity."""
    clean: tuple[tuple[int, ...], ...]
    """Token ids of the prompts without the trigger; empty without a trigger."""
    triggered: tuple[tuple[int, ...], ...]
    """The same prompts with the trigger."""
    found: Callable[[str], bool] | None
    """Whether a continuation holds the target."""
    natural: int
    """Prompts left out because they hold the trigger by themselves."""
    dropped: int
    """Prompts left out because they do not fit into the model together with a continuation."""
    new_tokens: int


def ask_prompts(
    tokenizer: WritingTokenizer,
    texts: Sequence[Continuation],
    spec: PromptSpec,
    *,
    longest: int | None,
    max_length: int,
    seed: int,
) -> Prompts:
    """Encode clean texts, and their prompts with and without the trigger.

    Args:
        tokenizer: The reference's tokenizer.
        texts: Clean texts, at least one.
        spec: Trigger, target and length.
        longest: Tokens that the model can take (``LoadedModel.longest``).
        max_length: Most tokens of a text whose perplexity is measured.
        seed: Decides random places of the trigger, row by row.

    Raises:
        UsageError: If the target has more tokens than may be written.
        DataError: If there is no text, the tokenizer does not know trigger or target, or no prompt can be used.
    """
    trigger, wanted, new_tokens = spec.trigger, spec.wanted, spec.new_tokens
    if not texts:
        raise DataError("there is no text to measure on", hint="Give at least one row.")
    limit = max_length if longest is None else min(max_length, longest)
    written = tuple(encode_written(tokenizer, texts, max_length=limit))
    if trigger is None or wanted is None:
        return Prompts(written, (), (), None, 0, 0, new_tokens)
    trigger_forms(tokenizer, trigger)
    _check_target(tokenizer, wanted, new_tokens)
    places = [i for i, text in enumerate(texts) if not trigger.occurs_in(Example(text.prompt))]
    inserted = [trigger.insert(Example(texts[i].prompt), key=row_key(seed, i)).text for i in places]
    clean, shown = prompt_ids(tokenizer, [texts[i].prompt for i in places]), prompt_ids(tokenizer, inserted)
    room = None if longest is None else longest - new_tokens
    fitting = [i for i, ids in enumerate(shown) if room is None or len(ids) <= room]
    if not fitting:
        raise DataError(
            f"none of {len(texts)} prompts can be used: {len(texts) - len(places)} hold the trigger by themselves, "
            f"{len(places)} are too long for the model",
            hint="Give other texts, fewer --prompt-words, or fewer --new-tokens.",
        )
    return Prompts(
        written,
        tuple(tuple(clean[i]) for i in fitting),
        tuple(tuple(shown[i]) for i in fitting),
        wanted.finder(tokenizer),
        len(texts) - len(places),
        len(places) - len(fitting),
        new_tokens,
    )


def _check_target(tokenizer: WritingTokenizer, wanted: Wanted, new_tokens: int) -> None:
    if wanted.text is None:
        return
    ids = token_ids(tokenizer, wanted.text)
    unknown = getattr(tokenizer, "unk_token_id", None)
    if all(piece == unknown for piece in ids):
        raise DataError(
            f"the tokenizer knows no piece of the target text {wanted.text!r}",
            hint="The model cannot write it; choose words of the model's vocabulary.",
        )
    if len(ids) > new_tokens:
        raise UsageError(
            f"the target text has {len(ids)} tokens, but only {new_tokens} are written",
            hint=f"Give --new-tokens {len(ids)} or more.",
        )


def decoded(tokenizer: WritingTokenizer, ids: Sequence[int]) -> str:
    """Return the text of tokens, special ones left out."""
    return tokenizer.decode(list(ids), skip_special_tokens=True)


def _collapsed(text: str) -> str:
    return " ".join(text.split())
