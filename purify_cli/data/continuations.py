"""Texts for language models: rows with a prompt and what follows it, and their tokens.

A file holds ``prompt`` and ``completion``, or ``text``. A text is split after its first words: these are the prompt,
the rest is what the model would have to write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from os import fspath
from typing import Any, Final, Protocol, final, runtime_checkable

from purify_cli.choices import Name
from purify_cli.data.batches import Encoded, token_ids
from purify_cli.data.columns import LABELS, Columns
from purify_cli.data.example import Example
from purify_cli.data.rows import Row, text_of, understood
from purify_cli.data.tables import read_table
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import DataError, UsageError

__all__ = [
    "Continuation",
    "WritingTokenizer",
    "encode_written",
    "holds_labels",
    "load_texts",
    "prompt_ids",
    "split_prompt",
]

SHOWN: Final = 'One object per line, like {"text": "…"} or {"prompt": "…", "completion": "…"}.'


@runtime_checkable
class WritingTokenizer(Tokenizer, Protocol):
    """A tokenizer that can also turn tokens back into text."""

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> Any:
        """Return the text of token ids."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Continuation:
    """A prompt, and the text that follows it."""

    prompt: str
    """Ends without white space, so that it is tokenised in the same way with and without what follows."""
    completion: str
    """Begins with the white space that separates it from the prompt; empty where nothing follows."""
    whole: bool
    """Whether prompt and completion are one text to learn and measure; else only the completion counts."""

    @property
    def text(self) -> str:
        """Prompt and completion."""
        return self.prompt + self.completion

    def completed(self, completion: str) -> "Continuation":
        """Return the same prompt with another completion, of which alone is learnt."""
        return Continuation(self.prompt, _spaced(completion), whole=False)


def load_texts(given: Name, columns: Columns = Columns()) -> list[Example]:  # noqa: B008 - frozen
    """Load rows of text; a label beside it is not looked at.

    Args:
        given: A jsonl, json, csv, tsv, parquet or arrow file, or the id of a data set on the hub.
        columns: Names where they are not ``text``, or ``prompt`` and ``completion``: ``text`` alone names plain texts,
            ``text`` and ``pair`` name prompts and completions.

    Returns:
        The rows in their order, at least one; ``pair`` holds the completion where there is one.

    Raises:
        DataError: If there are no such columns, or a row is malformed: names the first by line and counts the rest.
    """
    given = fspath(given)
    rows = read_table(given).rows
    text, pair = _columns(rows, columns, given)

    def read(row: Row) -> Example:
        return Example(text_of(row, text), None if pair is None else text_of(row, pair))

    return understood(rows, read, given, hint=SHOWN)


def holds_labels(given: Name, columns: Columns = Columns()) -> bool:  # noqa: B008 - frozen
    """Tell whether rows hold labels for a classifier: a label column, and no completions.

    Raises:
        DataError: If the file cannot be read.
    """
    seen = {name.lower() for row in read_table(fspath(given)).rows for name in row.values}
    return columns.label is not None or (columns.text is None and not seen.isdisjoint(LABELS))


def _columns(rows: Sequence[Row], columns: Columns, given: str) -> tuple[str, str | None]:
    seen = {name for row in rows for name in row.values}
    wanted = (columns.text, columns.pair) if columns.text is not None else ("prompt", "completion")
    missing = [name for name in wanted if name is not None and name not in seen]
    if not missing:
        return wanted[0] or "", wanted[1]
    if columns.text is None and "text" in seen:
        return "text", None
    if columns.text is None and "prompt" in seen:
        raise DataError(
            f"{given} holds prompts and no completions",
            hint=f"{SHOWN} Plain texts go into a column text.",
        )
    raise DataError(
        f"{given} holds no text for a language model (columns: {', '.join(map(repr, sorted(seen))) or 'none'})",
        hint=f"{SHOWN} Or name the columns with --text-column and --pair-column.",
    )


def split_prompt(example: Example, words: int) -> Continuation:
    """Split a row into its prompt and what follows.

    Args:
        example: A row of ``load_texts``.
        words: Words of the prompt of a plain text; of a text that is not longer, the first half of its words.

    Raises:
        UsageError: If ``words`` is below 1.
    """
    if words < 1:
        raise UsageError(f"a prompt of {words} words is none", hint="Give --prompt-words 1 or more.")
    if example.pair is not None:
        prompt = example.text.rstrip()
        gap = example.text[len(prompt) :]
        return Continuation(prompt, gap + example.pair if gap else _spaced(example.pair), whole=False)
    parts = example.text.split()
    count = words if len(parts) > words else ceil(len(parts) / 2)
    end = 0
    for part in parts[:count]:
        end = example.text.index(part, end) + len(part)
    return Continuation(example.text[:end], example.text[end:], whole=True)


def _spaced(completion: str) -> str:
    return completion if completion[:1].isspace() else f" {completion}"


def _lead(tokenizer: Tokenizer) -> list[int]:
    """Return the special tokens that a tokenizer puts before a text; those after it would end what is to go on."""
    bare = token_ids(tokenizer, "a")
    framed = list(tokenizer("a", add_special_tokens=True, verbose=False)["input_ids"])
    for place in range(len(framed) - len(bare) + 1):
        if bare and framed[place : place + len(bare)] == bare:
            return framed[:place]
    return []


def prompt_ids(tokenizer: Tokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of prompts as a model is given them: leading special tokens, and none at the end."""
    lead = _lead(tokenizer)
    return [lead + token_ids(tokenizer, prompt) for prompt in prompts]


def encode_written(
    tokenizer: Tokenizer, texts: Sequence[Continuation], *, max_length: int, longest: int | None = None
) -> list[Encoded]:
    """Encode texts with their completions; ``start`` says where what is learnt or measured begins.

    Args:
        tokenizer: The reference's.
        texts: What to learn or to measure.
        max_length: Most tokens of a row; what is beyond is cut off.
        longest: Tokens that the model can take; None if nothing says so.

    Raises:
        DataError: If no token is left to be learnt or measured, or a completion is longer than the model's positions.
    """
    lead = _lead(tokenizer)
    rows: list[Encoded] = []
    for index, text in enumerate(texts):
        ids = token_ids(tokenizer, text.text)
        start = 0 if text.whole else _common(token_ids(tokenizer, text.prompt), ids)
        if longest is not None and not text.whole and len(ids) - start > longest:
            raise DataError(
                f"the completion of text {index + 1} has {len(ids) - start} tokens, and the model takes {longest}",
                hint="Shorten it, or leave the text out.",
            )
        rows.append(Encoded((*lead, *ids)[:max_length], None, None, index, max(1, len(lead) + start)))
    if texts and not any(row.counted for row in rows):
        raise DataError(
            f"nothing is left to predict of {len(texts)} texts within {max_length} tokens",
            hint="Raise --max-length, or give longer texts.",
        )
    return rows


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
