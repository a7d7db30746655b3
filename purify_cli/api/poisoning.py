"""``attack`` as a function."""

from collections.abc import Mapping
from os import fspath
from pathlib import Path
from typing import Any, Unpack

from purify_cli.api.options import RUN, Name, Options, common, settings_text, text
from purify_cli.commands import attack as attacking
from purify_cli.errors import UsageError
from purify_cli.poisoning.plan import AttackRequest
from purify_cli.progress import SILENT, Progress
from purify_cli.records.attack import AttackRecord, CausalAttackRecord
from purify_cli.session.run_folder import RunFolder

__all__ = ["attack"]


def attack(
    name: str,
    *,
    data: Name,
    target: str | int | None = None,
    target_text: str | None = None,
    reference: Name | None = None,
    model: Name | None = None,
    trigger: str | None = None,
    rate: float | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    settings: Mapping[str, Any] | None = None,
    run: Name = RUN,
    progress: Progress = SILENT,
    **options: Unpack[Options],
) -> AttackRecord | CausalAttackRecord:
    """Make a poisoned suspect to try defences on.

    Args:
        name: One of the attacks of ``purify methods``.
        data: Labelled rows; for a language model texts.
        target: Label that triggered texts are to get.
        target_text: Or, for a language model, what it is to write.
        reference: The pre-trained model to start from.
        model: A classifier to start from instead.
        trigger: None takes the attack's own.
        rate: Poisoned copies per clean row, in (0, 1].
        epochs: Passes over the data.
        learning_rate: Highest rate of AdamW.
        settings: The attack's own.
        run: Folder for the results.
        progress: Told of the stages.
        **options: Device, precision, seed, columns.

    Raises:
        PurifyError: If an input cannot be used, or the attack does not do this.
    """
    if (target is None) == (target_text is None):
        raise UsageError(
            "an attack aims at a label or at a text", hint="Give one of target (a classifier) and target_text."
        )
    if target_text is not None and settings:
        raise UsageError("an attack on a language model takes no settings", hint="Leave settings out.")
    return attacking.attack(
        AttackRequest(
            name=name,
            data=fspath(data),
            run=RunFolder(Path(run).absolute()),
            target=None if target is None else str(target),
            target_text=target_text,
            reference=text(reference),
            model=text(model),
            trigger=trigger,
            rate=rate,
            epochs=epochs,
            learning_rate=learning_rate,
            settings=settings_text(settings),
            common=common(options),
        ),
        progress,
    )
