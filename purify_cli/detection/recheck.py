"""The search on the clean samples, where ``purify detect`` had none of them and flagged nothing."""

from collections.abc import Sequence
from dataclasses import replace

from purify_cli.data.example import Example
from purify_cli.detection.search import search_for_triggers
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.plan import TUNABLE
from purify_cli.purification.repair_session import RepairSession
from purify_cli.purification.request import AUTO, PurifyRequest
from purify_cli.records.base import DataFacts
from purify_cli.records.detection import Detection, ForcedContinuationFacts, SearchFacts
from purify_cli.session.known_triggers import found_triggers

__all__ = ["second_look"]


def second_look(
    request: PurifyRequest,
    session: RepairSession,
    rows: Sequence[Example],
    data: DataFacts | None,
    progress: Progress = SILENT,
) -> tuple[PurifyRequest, SearchFacts | ForcedContinuationFacts | None]:
    """Search with samples of the task what built-in texts said nothing about, as widely as before.

    Args:
        request: Left alone unless it leaves the method to what is known, and sets nothing that would not go with it.
        session: The pair.
        rows: Clean samples; none, and nothing is done.
        data: What they are.
        progress: Told of it.

    Returns:
        The request, with the new findings in its record and what they were found on, and these findings; None where
        none were needed or possible.
    """
    record = request.origin.record
    if request.method != AUTO or request.indicator is not None or not set(request.settings) <= set(TUNABLE):
        return request, None
    if not rows or not isinstance(record, Detection) or found_triggers(record):
        return request, None
    before = record.searched
    if before is None or before.texts != "built-in probes":
        return request, None
    progress.note("detect searched built-in texts and flagged nothing: searching once more, with the clean samples")
    outcome = search_for_triggers(session, rows, before.effort, progress)
    session.clear()
    if outcome.facts is None:
        progress.note(str(outcome.missing))
        return request, None
    field = "search" if isinstance(outcome.facts, SearchFacts) else "sayings"
    found = {field: outcome.facts, "data": data, "seed": request.common.compute.seed}
    origin = replace(request.origin, record=record.model_copy(update=found))
    return replace(request, origin=origin), outcome.facts
