"""The model card of a purified model: its README.md."""

from collections.abc import Sequence
from typing import Final

from purify_cli.errors import printable
from purify_cli.records.purification import Purification
from purify_cli.report.curve import curve_sentences
from purify_cli.report.parts import samples, utility, utility_name

__all__ = ["model_card"]

SHOWN: Final = 10
"""Tokens that the card names."""


def model_card(record: Purification) -> str:
    """Describe a purification for whoever finds the model without the run folder.

    Args:
        record: The manifest that lies beside the card.

    Returns:
        Markdown. Every figure stands in ``purification.json`` too.
    """
    counts = record.reset
    lines = [
        "---",
        "library_name: transformers",
        "tags:",
        "- purified",
        "---",
        "",
        "# Purified model",
        "",
        f"Made by `purify` {record.versions.get('purify-cli', '')} with the method `{record.method}`.",
        "",
        f"- suspect: {_code(record.suspect.path)} (SHA-256 `{record.suspect.sha256}`)",
        f"- reference: {_code(record.reference.path)} (SHA-256 `{record.reference.sha256}`)",
    ]
    if record.data:
        lines.append(f"- clean data: {record.data.rows} rows (SHA-256 `{record.data.sha256}`)")
    lines.append(
        f"- reset: {counts.reset:,} of {counts.dimensions:,} comparable dimensions ({counts.ratio:.1%}), "
        f"{counts.changed:,} of which differed from the reference"
    )
    if len(record.stages) > 1 or counts.beyond_ratio:
        lines += [f"- stage `{stage.method}`: {stage.entries:,} entries set" for stage in record.stages]
    lines += [f"- further model: {_code(other.path)} (SHA-256 `{other.sha256}`)" for other in record.others]
    if record.tokens and record.tokens.kept:
        lines.append(f"- tokens that the suspect added, kept: {_some(record.tokens.kept)}")
    if record.tokens and record.tokens.gone:
        lines.append(
            f"- the tokenizer is the reference's; {record.tokens.gone_count} tokens that the suspect added are gone: "
            f"{_some(record.tokens.gone)}"
        )
    if record.curve:
        lines += [f"- {sentence}" for sentence in curve_sentences(record.curve)]
    if record.training:
        lines.append(f"- fine-tuning: {record.training.steps} steps on the clean data, seed {record.seed}")
    if record.utility:
        lines.append(
            f"- clean {utility_name(record.utility.before)}: {utility(record.utility.before)} before, "
            f"{utility(record.utility.after)} after, on {samples(record.utility.measured_on)}"
        )
    lines += ["", "## What this does not say", ""]
    lines += [f"- {reason}." for reason in record.verdict.reasons]
    lines += [f"- Not measured: {item}." for item in record.verdict.not_measured]
    lines += [
        "- The task head has no counterpart in the reference. No part of it was reset to one.",
        "",
        "The manifest `purification.json` holds every setting, hash and count.",
    ]
    return "\n".join(lines) + "\n"


def _code(path: str) -> str:
    """Quote a path so that nothing in it is read as Markdown."""
    return f"`{printable(path).replace('`', '_')}`"


def _some(tokens: Sequence[str]) -> str:
    return ", ".join(map(_code, tokens[:SHOWN])) + ", …" * (len(tokens) > SHOWN)
