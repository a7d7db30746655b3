"""Where a command's models come from: an argument, a record on standard input, or the run folder, in this order."""

import errno
import os
from dataclasses import dataclass, replace
from os import fspath
from pathlib import Path
from typing import Final, final

from purify_cli.checkpoint.aliases import alias_for
from purify_cli.choices import Name
from purify_cli.errors import RunFolderError, UsageError
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.progress import Progress
from purify_cli.purification.known_search import KnownSearch
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import Record
from purify_cli.records.detection import Detection
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.readers import many
from purify_cli.requests.shared import Examination
from purify_cli.storage.record_files import find_record, parse_record

__all__ = ["DETECTABLE", "EVALUABLE", "PURIFIABLE", "Origin", "find_origin", "known_search", "locate", "say_shadowed"]

DETECTABLE: Final[tuple[type[Record], ...]] = (AttackRecord, FinetuneRecord)
"""Records of the run folder that name a suspect for ``detect``, most telling first."""

EVALUABLE: Final[tuple[type[Record], ...]] = (
    Purification,
    Detection,
    FinetuneRecord,
    AttackRecord,
)
"""The same for ``evaluate``."""

PURIFIABLE: Final[tuple[type[Record], ...]] = (Detection, AttackRecord, FinetuneRecord)
"""The same for ``purify``."""


def locate(request: Examination | EvaluateRequest, kinds: tuple[type[Record], ...]) -> "Origin":
    """Find the models of a request, and tell where they come from, and the output goes, where no argument said so.

    The run folder may be about something else by now, and a piped record may name a folder that knows nothing of it.

    Raises:
        RunFolderError: If no model is named anywhere.
        UsageError: If ``--run`` contradicts the piped record, or a name is empty.
    """
    models = many(request.models) if isinstance(request, EvaluateRequest) else [request.suspect]
    models = [model for model in models if model is not None]
    origin = find_origin(models[0] if models else None, request.reference, request.run, request.piped, kinds=kinds)
    note = request.progress.note
    if origin.record is not None and origin.suspect is not None and not origin.piped:
        note(f"going on from {origin.run.path}: {origin.suspect.path}")
    if origin.moved is not None:
        note(f"{origin.moved} does not hold the record on standard input: writing to {origin.run.path}")
    say_shadowed(request.progress, *(facts.path for facts in (origin.suspect, origin.reference) if facts), *models[1:])
    return origin


def say_shadowed(listener: Progress, *models: Name | None) -> None:
    """Tell where a file or folder is called like an alias: what is there is taken."""
    for model in models:
        if model is not None and alias_for(fspath(model)) and Path(model).exists():
            listener.note(f"{model} is the one in {Path.cwd()}, not the model that this alias stands for")


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """A command's starting point."""

    run: RunFolder
    record: Record | None
    """The record that named the models; None where an argument did."""
    suspect: ModelFacts
    """Its hash is empty where an argument named it: then there is nothing to compare with."""
    reference: ModelFacts | None
    """Likewise."""

    piped: bool = False
    """Whether the record came from standard input."""
    moved: Path | None = None
    """The run folder that a piped record names, where it is not used because it does not hold that record."""


def find_origin(
    model: Name | None,
    reference: Name | None,
    run: Name | None,
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
    folder = RunFolder.of(run)
    given = _named_by(reference, "--ref") if reference is not None else None
    moved: Path | None = None
    if model is not None:
        return Origin(folder, None, _named_by(model, "the model"), given)
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
            record = find_record(folder, kind)
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
        return find_record(folder, type(record)) == record
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


def known_search(record: Record | None) -> KnownSearch:
    """Return what a record says of a search for triggers; nothing where it is no detection."""
    if not isinstance(record, Detection):
        return KnownSearch()
    search, data = record.searched, record.data
    useful = data is not None and (bool(data.per_label) or record.task == "causal")
    known = KnownSearch(detected=True, seed=record.seed, data=data, samples=data if useful else None)
    if search is not None:
        return known.after(search)
    # One that was impossible: of built-in texts a suspect of another task may get none right.
    match record.settings.get("effort"):
        case "low" | "normal" | "high" as effort if data is None:
            return replace(known, impossible=True, effort=effort)
        case _:
            return known


def _named_by(given: Name, what: str) -> ModelFacts:
    if not fspath(given).strip():
        raise UsageError(f"{what} is empty", hint="Is a shell variable unset?")
    return ModelFacts.named(given)


def _named(record: Record | None) -> tuple[ModelFacts | None, ModelFacts | None]:
    match record:
        case Detection() | Purification() | AttackRecord():
            return record.suspect, record.reference
        case FinetuneRecord():
            return record.output, record.reference
        case _:
            return None, None
