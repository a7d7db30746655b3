"""The clean samples of a repair: which are read, and which are held back."""

from typing import Final

from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out, require_classes
from purify_cli.errors import RunFolderError, UsageError
from purify_cli.model import Task
from purify_cli.pipelines.inputs import data_facts, read_rows
from purify_cli.pipelines.plan import Plan, PurifyRequest
from purify_cli.progress import Progress
from purify_cli.report.schema import DataFacts, Detection

__all__ = ["clean_rows"]

HELD_BACK: Final = 0.25
"""Share of the clean samples kept from curvature and tuning where --max-drop wants an honest accuracy. Ours."""


def clean_rows(
    request: PurifyRequest, plan: Plan, task: Task, progress: Progress
) -> tuple[list[Example], list[Example], DataFacts | None]:
    """Read the clean samples: those given, else those that detect used; hold some back where that is wanted."""
    given, record = request.clean_data, request.origin.record
    promised = record.data if isinstance(record, Detection) and record.data and record.data.per_label else None
    if given is None and promised is not None:
        given = promised.path
    else:
        promised = None
    if given is None:
        searched = plan.ratio == "auto"
        if request.finetune or searched or request.max_drop is not None or request.estimator != "auto":
            raise UsageError(
                "fine-tuning, --ratio auto, --max-drop and --estimator need clean samples",
                hint="Give --clean-data FILE (8 to 64 labelled rows), or --no-finetune to stop after the reset.",
            )
        return [], [], None
    rows = read_rows(given, task, request.common, progress=progress)
    require_classes(rows, at_least=2)
    facts = data_facts(given, rows)
    if promised is not None and promised.sha256 != facts.sha256:
        raise RunFolderError(
            f"{given} has changed since `purify detect` read it", hint="Run detect again, or give --clean-data."
        )
    if plan.ratio == "auto" or (request.max_drop is None and "patience" not in request.settings):
        return rows, [], facts  # a search holds them back in turn, and then all are used
    rest, held = hold_out(rows, HELD_BACK, seed=request.common.runtime.seed)
    require_classes(rest, at_least=2)
    return rest, held, facts
