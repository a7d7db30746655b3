"""The search for triggers of a suspect, of whatever task."""

from collections.abc import Sequence

from purify_cli.choices import SearchEffort
from purify_cli.data.example import Example
from purify_cli.detection.causal_search import look_for_forced_continuations
from purify_cli.detection.classifier_search import look_for_triggers
from purify_cli.evidence.search_outcome import STAGE, SearchOutcome
from purify_cli.model import LoadedModel
from purify_cli.purification.repair_session import RepairSession
from purify_cli.tasks.causal import CausalLanguage
from purify_cli.tasks.classification import Classification

__all__ = ["search_for_triggers"]


def search_for_triggers(
    session: RepairSession,
    rows: Sequence[Example],
    effort: SearchEffort,
    *,
    model: LoadedModel | None = None,
    moved_only: bool = False,
) -> SearchOutcome:
    """Search a model for what switches a backdoor on.

    Args:
        session: The pair.
        rows: Clean samples; empty takes the built-in probes.
        effort: How much to look at.
        model: Default: the suspect. The control or reference is the same in any case.
        moved_only: Of a classifier, try only words whose embedding rows moved.
    """
    match session.task:
        case Classification() as task:
            return look_for_triggers(session, task, rows, effort, model=model, moved_only=moved_only)
        case CausalLanguage() as task:
            return look_for_forced_continuations(session.opened, task, rows, effort, session.progress, model=model)
        case _:
            return SearchOutcome(None, None, f"{STAGE}: there is none for this kind of model")
