"""The search on the clean samples, where ``purify detect`` had none of them and did not name the trigger."""

from collections.abc import Sequence

from purify_cli.data.example import Example
from purify_cli.detection.search import search_for_triggers
from purify_cli.evidence.search_outcome import ContinuationSearch, TriggerSearch
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.plan import TUNABLE
from purify_cli.purification.repair_session import RepairSession
from purify_cli.requests.purify import AUTO, PurifyRequest
from purify_cli.tasks.classification import Classification
from purify_cli.trigger_search.found import names_trigger

__all__ = ["second_search"]


def second_search(
    request: PurifyRequest,
    known: KnownSearch,
    session: RepairSession,
    rows: Sequence[Example],
) -> TriggerSearch | ContinuationSearch | None:
    """Search with samples of the task what built-in texts said nothing about, as widely as before.

    Args:
        request: Nothing is done unless it leaves the method to what is known, and sets nothing that would not go with
            it.
        known: What detect found.
        session: The pair.
        rows: Clean samples; none, and nothing is done.

    Returns:
        The new findings; None where none were needed or possible.
    """
    if request.method != AUTO or request.indicator is not None or not set(request.settings) <= set(TUNABLE):
        return None
    if not rows or not (known.impossible or known.texts == "built-in probes"):
        return None
    # Any word that brings about what a language model is to write serves a repair; a part of a trigger does not.
    if known.triggers and (names_trigger(known.triggers) or not isinstance(session.task, Classification)):
        return None
    before = (
        "could not search with built-in texts"
        if known.impossible
        else "searched built-in texts and flagged "
        + (f"{len(known.triggers)} parts of a trigger, or one place of it" if known.triggers else "nothing")
    )
    session.progress.note(f"detect {before}: searching once more, with the clean samples")
    outcome = search_for_triggers(session, rows, known.effort)
    session.clear()
    if outcome.facts is None:
        session.progress.note(str(outcome.missing))
    return outcome.facts
