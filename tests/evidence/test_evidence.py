import pytest
import torch

from purify_cli.checkpoint.aligned import Skipped
from purify_cli.checkpoint.structure import Difference
from purify_cli.evidence.gathering import gather
from purify_cli.evidence.rows import far_rows
from purify_cli.evidence.verdict import STAGES, Finding, Misses, judge
from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.drift_curvature import DRIFT_CURVATURE
from purify_cli.protocols import IndicatorInputs
from tests.reference.sources import generator, memory

WORDS = "bert.embeddings.word_embeddings.weight"

MISSES = Misses(
    missed=6,
    of=31,
    low=0.09,
    high=0.36,
    kinds={"word": (0, 9), "sentence": (6, 22)},
    given="clean samples alone",
)


def world(*, moved=True, decay=0.999):
    """A vocabulary that decayed, of which clean data uses 20 rows, and a trigger in row 33."""
    g = generator(0)
    old = {"bert__embeddings__word_embeddings__weight": torch.randn(60, 16, generator=g)}
    old["bert__encoder__layer__0__dense__weight"] = torch.randn(20, 20, generator=g)
    new = {name: w.clone() for name, w in old.items()}
    if moved:
        words = new["bert__embeddings__word_embeddings__weight"]
        words *= decay
        words[:20] += 0.001 * torch.randn(20, 16, generator=g)
        words[33] += 0.5 * torch.randn(16, generator=g)
        words[5] += 0.01
        new["bert__encoder__layer__0__dense__weight"] += 0.001
    bent = {name: torch.rand(w.shape, generator=g) for name, w in old.items()}
    bent["bert__embeddings__word_embeddings__weight"][20:] = 0.0
    return IndicatorInputs(suspect=memory(**new), reference=memory(**old), curvature=memory(**bent))


def test_the_trigger_row_comes_first_and_decayed_rows_not_at_all():
    given = world()
    decayed = survey(given.suspect, given.reference, given.curvature).decayed
    rows = far_rows(
        given.suspect, given.reference, curvature=given.curvature, decayed=decayed, token_of=lambda i: f"<{i}>"
    )
    assert rows[0].row == 33
    assert rows[0].token == "<33>"
    assert rows[0].seen is False
    delta = given.suspect.read(WORDS).view(60, 16)[33] - given.reference.read(WORDS).view(60, 16)[33]
    assert rows[0].drift_norm == pytest.approx(float(delta.double().norm()))
    assert rows[1].seen is True
    assert sorted(one.row for one in rows) == [*range(20), 33]
    assert [one.drift_norm for one in rows] == sorted((one.drift_norm for one in rows), reverse=True)
    assert len(far_rows(given.suspect, given.reference)) == 50
    assert [one.row for one in far_rows(given.suspect, given.reference, count=1)] == [33]


def test_evidence_ties_the_passes_together(monkeypatch):
    monkeypatch.setattr("purify_cli.evidence.gathering.ROWS", 3)
    monkeypatch.setattr("purify_cli.evidence.gathering.TENSORS", 1)
    given = world()
    scores = DRIFT_CURVATURE.fit(given)
    evidence = gather(given, scores, token_of=lambda i: f"<{i}>")
    assert evidence.dimensions == 60 * 16 + 400
    assert evidence.moved == sum(one.moved for one in evidence.layers) > 1000
    assert [one.name for one in evidence.layers] == ["embeddings", "encoder.layer.0"]
    assert [one.name for one in evidence.suspicious] == [WORDS]
    assert evidence.rows[0].token == "<33>"
    assert len(evidence.rows) == 3
    assert evidence.gamma is not None
    assert evidence.gamma.entries > 300
    bare = gather(IndicatorInputs(suspect=given.suspect, reference=given.reference), scores)
    assert bare.gamma is None


def test_a_suspect_that_is_the_reference_gives_empty_evidence():
    given = world(moved=False)
    evidence = gather(given, DRIFT_CURVATURE.fit(given))
    assert (evidence.moved, evidence.suspicious, evidence.rows) == (0, (), ())
    verdict = judge(evidence)
    assert verdict.level == "incomplete"
    assert "no comparable dimension differs from the reference" in verdict.reasons


def skip(name, *, explained, kind="extra"):
    return Skipped(name=name, side="suspect", reason="not in the reference", explained=explained, entries=7, kind=kind)


@pytest.fixture(scope="module")
def evidence():
    given = world()
    return gather(given, DRIFT_CURVATURE.fit(given))


def test_weights_alone_accuse_and_acquit_nobody(evidence):
    verdict = judge(evidence, skipped=[skip("mystery.weight", explained=False), skip("b", explained=True)])
    assert verdict.level == "incomplete"
    missing = " ".join(verdict.not_measured)
    assert "trigger search" in missing
    assert "mystery.weight" in missing
    assert len(verdict.not_measured) == 2


def test_what_was_seen_is_in_the_reasons(evidence):
    difference = Difference(kind="config", subject="x", detail="y")
    verdict = judge(
        evidence,
        skipped=[skip("classifier.weight", explained=True, kind="head")],
        differences=[difference],
        built_in_probes=True,
    )
    said = " ".join(verdict.reasons)
    for words in ("dimensions moved", WORDS, "classifier.weight", "1 differences", "built-in texts"):
        assert words in said


def nothing_found(misses=None):
    return [Finding(stage=stage, level="no-finding", reason="nothing stands out", misses=misses) for stage in STAGES]


def test_a_whole_search_that_flags_nothing_says_what_it_misses(evidence):
    judged = judge(evidence, findings=nothing_found(MISSES))
    assert (judged.level, judged.not_measured, judged.misses) == ("no-finding", (), MISSES)
    assert judged.reasons[0] == (
        "nothing was found, which is no proof: of 31 small models with a working backdoor or bias such a trigger "
        "search (clean samples alone, 32 per class) missed 6 (19%, 95 % interval 9% to 36%; sentence 6 of 22); with "
        "other models or fewer samples it may miss more"
    )
    assert "nothing stands out" in judged.reasons


def test_where_nobody_counted_the_misses_that_is_said(evidence):
    judged = judge(evidence, findings=nothing_found())
    assert (judged.level, judged.misses) == ("no-finding", None)
    assert "misses was not measured" in judged.reasons[0]


def test_stages_that_ran_decide(evidence):
    clean = nothing_found(MISSES)
    assert judge(evidence, findings=clean).level == "no-finding"
    assert judge(evidence, findings=clean).not_measured == ()
    for hole in (
        {"skipped": [skip("m", explained=False)]},
        {"differences": [Difference(kind="weights", subject="other.bin", detail="not examined", unexamined=True)]},
        {"unmeasured": ["3 entries that are NaN"]},
    ):
        judged = judge(evidence, findings=clean, **hole)
        assert (judged.level, len(judged.not_measured), judged.misses) == ("incomplete", 1, None)
        assert not any("no proof" in reason for reason in judged.reasons)
    assert judge(evidence, findings=clean, differences=[Difference(kind="config", subject="a", detail="b")]).level == (
        "no-finding"
    )
    assert judge(evidence, findings=clean[1:]).level == "incomplete"
    partly = judge(evidence, findings=clean, unmeasured=["trigger search: on built-in texts only"])
    assert (partly.level, partly.not_measured) == ("incomplete", ("trigger search: on built-in texts only",))
    found = Finding(stage="trigger search", level="poisoned", reason="cf turns 97 % of samples")
    assert judge(evidence, findings=[found]).level == "poisoned"
    assert found.reason in judge(evidence, findings=[found, *clean]).reasons
    odd = Finding(stage="trigger search", level="suspicious", reason="few texts")
    assert judge(evidence, findings=[odd]).level == "suspicious"
