"""Where a command's models come from: an argument, a record on standard input, or the run folder, in this order."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from purify_cli.errors import RunFolderError, UsageError
from purify_cli.records.attack import AttackRecord, CausalAttackRecord
from purify_cli.records.base import ModelFacts, Record
from purify_cli.records.detection import Detection
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.session.run_folder import RunFolder, parse_record

__all__ = ["DETECTABLE", "EVALUABLE", "PURIFIABLE", "Origin", "find_origin"]

DETECTABLE: Final[tuple[type[Record], ...]] = (AttackRecord, CausalAttackRecord, FinetuneRecord)
"""Records of the run folder that name a suspect for ``detect``, most telling first."""

EVALUABLE: Final[tuple[type[Record], ...]] = (
    Purification,
    Detection,
    FinetuneRecord,
    AttackRecord,
    CausalAttackRecord,
)
"""The same for ``evaluate``."""

PURIFIABLE: Final[tuple[type[Record], ...]] = (Detection, AttackRecord, CausalAttackRecord, FinetuneRecord)
"""The same for ``purify``."""


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """A command's starting point."""

    run: RunFolder
    record: Record | None
    """The record that named the models; None where an argument did."""
    suspect: ModelFacts | None
    """Its hash is empty where an argument named it: then there is nothing to compare with."""
    reference: ModelFacts | None
    """Likewise."""

    piped: bool = False
    """Whether the record came from standard input."""
    moved: Path | None = None
    """The run folder that a piped record names, where it is not used because it does not hold that record."""


def find_origin(
    model: str | None,
    reference: str | None,
    run: Path | None,
    piped: str | None,
    *,
    kinds: tuple[type[Record], ...] = PURIFIABLE,
) -> Origin:
    """Decide which models a command works on.

    Args:
        model: The argument, if one was given; then nothing else is looked at.
        reference: ``--ref``; overrides that of a record.
        run: ``--run`` if given; else that of the piped record, else ``purify-run``.
        piped: All of standard input, where it was no terminal and no model was given.
        kinds: Records of the run folder that may name the model, most telling first.

    Raises:
        RunFolderError: If no model is named anywhere.
        UsageError: If ``--run`` contradicts the piped record.
    """
    folder = RunFolder((run or Path("purify-run")).absolute())
    given = ModelFacts(path=_nonempty(reference, "--ref"), sha256="") if reference is not None else None
    moved: Path | None = None
    if model is not None:
        return Origin(folder, None, ModelFacts(path=_nonempty(model, "the model"), sha256=""), given)
    record: Record | None = None
    is_piped = piped is not None and bool(piped.strip())
    if piped is not None and is_piped:
        record = parse_record(piped, "standard input")
        _check_paths(record, "the record on standard input")
        theirs = RunFolder(Path(record.run))
        if run is not None and theirs.path.resolve() != folder.path.resolve():
            raise UsageError(
                f"--run {run} is not the run folder of the piped record ({record.run})",
                hint="Leave --run out, or give the same to every stage.",
            )
        # A record may come from anywhere; it does not send the output there unless the folder knows of it.
        if theirs.path.resolve() == folder.path.resolve() or _holds(theirs, record):
            folder = theirs
        else:
            moved = theirs.path
    else:
        for kind in kinds:
            record = folder.find(kind)
            if _named(record)[0] is not None:
                break
        if record is not None:
            _check_paths(record, f"the record in {folder.path}")
    suspect, known = _named(record)
    if record is None or suspect is None:
        raise RunFolderError(
            f"no model was given, and {folder.path} names none",
            hint="Name the model, or run `purify detect SUSPECT --ref REFERENCE` first.",
        )
    return Origin(folder, record, suspect, given or known, is_piped, moved)


def _holds(folder: RunFolder, record: Record) -> bool:
    try:
        return folder.find(type(record)) == record
    except RunFolderError:
        return False


def _check_paths(record: Record, origin: str) -> None:
    """Refuse a record with a path that no file can have."""
    named = (getattr(record, one, None) for one in ("suspect", "reference", "start", "output", "data", "training_data"))
    for path in (record.run, *(facts.path for facts in named if facts is not None)):
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
                raise RunFolderError(
                    f"{origin} holds a path that no file can have ({path!r:.80})",
                    hint="Run the command that makes it again, or name the model as an argument.",
                ) from error


def _nonempty(given: str, what: str) -> str:
    if not given.strip():
        raise UsageError(f"{what} is empty", hint="Is a shell variable unset?")
    return given


def _named(record: Record | None) -> tuple[ModelFacts | None, ModelFacts | None]:
    match record:
        case Detection() | Purification() | AttackRecord() | CausalAttackRecord():
            return record.suspect, record.reference
        case FinetuneRecord():
            return record.output, record.reference
        case _:
            return None, None
