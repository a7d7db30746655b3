"""``purify detect``: compare a suspect with its reference and write down the evidence."""

from collections.abc import Sequence
from math import inf
from typing import Final, final

from purify_cli.checkpoint import structural_differences
from purify_cli.data.example import Example
from purify_cli.data.probes import PROBES
from purify_cli.detection.search import search_for_triggers
from purify_cli.errors import CheckpointError, UsageError
from purify_cli.evidence.gathering import gather
from purify_cli.evidence.search_outcome import STAGE, ContinuationSearch, SearchOutcome, TriggerSearch
from purify_cli.evidence.verdict import judge
from purify_cli.indicators import INDICATORS
from purify_cli.inputs.curvature_cache import CurvatureData
from purify_cli.inputs.identity import DataFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import OpenedPair, open_pair, require_reference, some_texts
from purify_cli.inputs.scoring import Scoring, score
from purify_cli.inputs.settings import parse_settings
from purify_cli.inputs.task import find_task, read_clean, read_unlabelled
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.protocols import IndicatorInputs
from purify_cli.purification.repair_session import RepairSession
from purify_cli.records.detection import ComparisonCounts, Detection, GroupFact
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.option import refuse_foreign
from purify_cli.requests.readers import assignments
from purify_cli.storage.origin import DETECTABLE, locate
from purify_cli.storage.ownership import require_own_files
from purify_cli.storage.record_files import save_record
from purify_cli.student.texts import unlabelled_texts
from purify_cli.tasks.base import Task

__all__ = ["detect"]

NO_HEAD: Final = f"{STAGE}: the suspect has no classification head, so there is no label to search for"


def detect(request: DetectRequest) -> Detection:
    """Examine a suspect and leave curvature, scores and the record in the run folder.

    Raises:
        PurifyError: If suspect, reference or data cannot be used.
    """
    origin, common, progress = locate(request, DETECTABLE), request.common, request.progress
    run, named = origin.run, origin.suspect
    asked = INDICATORS[request.indicator or "drift-curvature"]
    if asked.needs_triggers:
        raise UsageError(
            f"{asked.name} scores what a found trigger does, and detect scores before it searches",
            hint="Leave --indicator out; `purify purify` uses it where a trigger was found.",
        )
    settings = parse_settings(asked, assignments(request.settings), {})
    require_own_files(run, "detection.json", "curvature.safetensors", "indicator.safetensors")
    with run.logged("detect", {"suspect": named.path, "indicator": asked.name}):
        reference = require_reference(origin.reference)
        opened = open_pair(named, reference, common, progress)
        task = find_task(opened, common)
        if task is not None:
            refuse_foreign(request, task.kind)
        unlabelled = read_unlabelled(request.unlabelled, task, common)
        data, facts = _data(request, task, unlabelled)
        clean = data.rows if data is not None and data.source == "clean data" else ()
        texts = unlabelled_texts(unlabelled, clean, seed=common.compute.seed) if unlabelled else None
        told = None if request.unlabelled is None else data_facts(request.unlabelled, unlabelled)
        if task is None and request.settings:
            raise UsageError("--set needs curvature, which a suspect without a head has not", hint="Leave --set out.")
        indicator = asked if data is not None or request.indicator else INDICATORS["drift"]
        scored = score(
            opened,
            task,
            data,
            Scoring(
                indicator=indicator.name,
                settings=settings if indicator is asked else {},
                seed=common.compute.seed,
            ),
            run=run,
            progress=progress,
        )
        evidence = gather(
            IndicatorInputs(
                suspect=opened.pair.suspect_part,
                reference=opened.pair.reference_part,
                curvature=scored.curvature.source if scored.curvature else None,
                seed=common.compute.seed,
                settings=settings,
            ),
            scored.scores,
            samples=(scored.curvature.facts.effective_samples if scored.curvature else 0) or inf,
            token_of=_Tokens(opened.reading),
            progress=progress,
        )
        differences = (
            *structural_differences(opened.suspect, opened.reference, opened.pair),
            *opened.reading.differences(some_texts(data.rows if data else ())),
        )
        searched = SearchOutcome(None, None, NO_HEAD)
        if task is not None and data is not None:
            session = RepairSession(opened, task, common, run, progress, texts=texts)
            searched = _searched(request, session, data)
        judged = judge(
            evidence,
            skipped=opened.pair.skipped,
            differences=differences,
            findings=[searched.finding] if searched.finding else [],
            unmeasured=[*([searched.missing] if searched.missing else []), *_replaced(opened)],
            built_in_probes=data is not None and data.source == "built-in probes",
        )
        record = Detection(
            versions=versions(),
            seed=common.compute.seed,
            run=str(run.path),
            settings={
                "max_length": common.compute.max_length,
                "batch_size": common.compute.batch_size,
                "effort": request.effort,
                "moved_only": request.moved_only,
                "dtype": str(common.compute.dtype).removeprefix("torch."),
                **(task.settings if task else {}),
                **(settings if indicator is asked else {}),
            },
            suspect=model_facts(opened.suspect),
            reference=model_facts(opened.reference),
            task=task.kind if task else None,
            data=facts,
            unlabelled=told,
            verdict=judged,
            comparison=ComparisonCounts(
                dimensions=opened.pair.dimensions,
                tensors=len(opened.pair.comparables),
                moved=evidence.moved,
                skipped=list(opened.pair.skipped),
            ),
            differences=list(differences),
            nonfinite=opened.nonfinite,
            curvature=scored.curvature.facts if scored.curvature else None,
            indicator=scored.facts,
            gamma=evidence.gamma,
            layers=[GroupFact.model_validate(one) for one in evidence.layers],
            tensors=[GroupFact.model_validate(one) for one in evidence.suspicious],
            embedding_rows=list(evidence.rows),
            signs=list(evidence.signs),
            search=searched.facts if isinstance(searched.facts, TriggerSearch) else None,
            sayings=searched.facts if isinstance(searched.facts, ContinuationSearch) else None,
        )
        save_record(run, record)
    return record


def _data(
    request: DetectRequest, task: Task | None, unlabelled: Sequence[Example]
) -> tuple[CurvatureData | None, DataFacts | None]:
    """Choose the texts that curvature is measured on; none where the suspect answers nothing."""
    given = request.clean_data
    if task is None:
        if given is not None or request.unlabelled is not None or request.indicator is not None:
            raise CheckpointError(
                "the suspect has no classification head, so curvature cannot be measured",
                hint="Leave --clean-data, --unlabelled and --indicator out: drift alone is examined then.",
            )
        return None, None
    if given is not None:
        rows = read_clean(given, task, request.common, progress=request.progress)
        task.require_rows(rows)
        return CurvatureData(rows, "clean data", request.estimator), data_facts(given, rows)
    if unlabelled:
        some = unlabelled[:: -(-len(unlabelled) // len(PROBES))]
        return CurvatureData(some, "unlabelled data", request.estimator), None
    return CurvatureData([Example(text) for text in PROBES], "built-in probes", request.estimator), None


def _searched(request: DetectRequest, session: RepairSession, data: CurvatureData) -> SearchOutcome:
    """Look for triggers on clean rows, else on the built-in texts."""
    if request.effort == "none":
        return SearchOutcome(None, None, None)
    rows = data.rows if data.source == "clean data" else []
    outcome = search_for_triggers(session, rows, request.effort, moved_only=request.moved_only)
    session.clear()
    return outcome


def _replaced(opened: OpenedPair) -> list[str]:
    """Say what is examined as the reference has it, and not as whoever loads the suspect gets it."""
    if not opened.nonfinite:
        return []
    count = sum(opened.nonfinite.values())
    return [f"{count} entries that are NaN or infinite ({', '.join(opened.nonfinite)}): read as the reference's"]


@final
class _Tokens:
    """Row number → token, with the tokenizer that texts are read with, loaded when the first name is asked for."""

    def __init__(self, reading: SuspectTokenizer) -> None:
        self._reading = reading
        self._names: dict[int, str] | None = None

    def __call__(self, row: int) -> str:
        if self._names is None:
            self._names = {number: token for token, number in self._reading.tokenizer.get_vocab().items()}
        return self._names.get(row, "")
