"""Tokenizers from local files, and transformers kept quiet."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import cast

from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from purify_cli.checkpoint.jsonfiles import read_json
from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.data.tokenizer import limit_ids
from purify_cli.errors import CheckpointError
from purify_cli.model.tokenizer_sandbox import HINT, Text, check_tokenizer

__all__ = ["load_tokenizer", "pad_id", "quiet", "reason", "tokenizer_pad"]


@contextmanager
def quiet() -> Generator[None]:
    """Keep transformers' own remarks off stderr, which is the command line's business."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def reason(error: Exception) -> str:
    """Return what a library says is wrong, on one line of at most 200 characters."""
    return " ".join((str(error) or repr(error)).split())[:200]


@contextmanager
def _no_prints() -> Generator[None]:
    """Keep what native code prints off standard output, where JSON goes."""
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def load_tokenizer(
    files: CheckpointFiles, *, rows: int | None = None, texts: Sequence[Text] = ()
) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside a checkpoint, from local files, without remote code.

    It is first tried in a process of its own, which it may bring down. Tokenizers without a padding token (GPT-2,
    Llama) pad with the end-of-text token, on the right.

    Args:
        files: Whose folder.
        rows: Rows of the word embedding that the token ids go to (``limit_ids``).
        texts: Some of those that it is going to be used on, to be tried as well.

    Raises:
        CheckpointError: If there is none, or its files cannot be used.
    """
    if files.tokenizer is None:
        raise CheckpointError(
            f"{files.given} has no tokenizer files", hint="Put tokenizer.json and tokenizer_config.json beside it."
        )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (files.tokenizer / name).is_file():
            read_json(files.tokenizer / name)
    check_tokenizer(files, texts)
    try:
        with quiet(), _no_prints():
            tokenizer = AutoTokenizer.from_pretrained(
                str(files.tokenizer), local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        raise CheckpointError(
            f"the tokenizer in {files.tokenizer} cannot be loaded: {reason(error)}", hint=HINT
        ) from error
    # Padding must be there, on the right, whatever the files say: classifiers on decoders count from the left.
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    limit_ids(tokenizer, rows)
    return tokenizer


def tokenizer_pad(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the tokenizer's padding id; ``load_tokenizer`` has seen to it that there is one."""
    return cast("int", tokenizer.pad_token_id)


def pad_id(default: int | None, module: nn.Module) -> int:
    """Return the id to pad with: the module's own where it has one, else the tokenizer's.

    Padding is masked, so that the id matters to nobody but decoder classifiers: they find the last token of a text as
    the last one that is not *their* padding, and a reference may name another than its tokenizer.

    Args:
        default: The tokenizer's padding token.
        module: A classifier.
    """
    own = getattr(getattr(module, "config", None), "pad_token_id", None)
    chosen = int(own if own is not None else default or 0)
    # A padding token is often added without a row of its own; what is masked may be any row.
    words = getattr(module, "get_input_embeddings", lambda: None)()
    return 0 if words is not None and chosen >= words.weight.shape[0] else chosen
