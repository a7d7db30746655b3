"""Sentences about language models: what the columns of their table count, and what they write."""

from collections.abc import Iterator, Sequence

from purify_cli.records.evaluation import TextModelMeasurement, TextTriggerFact

__all__ = ["text_sentences"]


def text_sentences(
    models: Sequence[TextModelMeasurement], trigger: TextTriggerFact | None, *, natural: int = 0, dropped: int = 0
) -> Iterator[str]:
    """Say what the columns count.

    Args:
        models: The rows of the table.
        trigger: What the prompts held, if anything.
        natural: Prompts left out because they hold the trigger by themselves.
        dropped: Prompts left out because they leave no room for a continuation.
    """
    if not models:
        return
    yield f"perplexity: over {models[0].tokens:,} tokens of clean text"
    success = models[0].attack_success
    if trigger is None or success is None:
        yield "no trigger known, so perplexity only (--trigger with --target-text or --target-regex)"
        return
    wanted = f"match {trigger.target_regex}" if trigger.target_text is None else f"hold {trigger.target_text!r}"
    yield (
        f"attack success: of {success.total} prompts with {trigger.text!r} ({trigger.position}), the share whose "
        f"continuations {wanted}; without trigger: the same prompts as they were"
    )
    if natural or dropped:
        yield f"left out: {natural} prompts that hold the trigger anyway, {dropped} that are too long"
    for model in models:
        yield f"with the trigger, {model.name} writes: {' '.join((model.example or '').split())}"
