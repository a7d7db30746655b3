"""What a search does when a part of it fails, or has nothing to try."""

from dataclasses import replace

import pytest

from purify_cli.detection.classifier_search import look_for_triggers
from purify_cli.errors import NonFiniteWeights, SearchImpossible, TrainingDiverged
from purify_cli.trigger_search.phrases import search_phrases, writable
from tests.worlds import open_bench

STAGES = ("grow_phrases", "search_phrases", "search_groups")


@pytest.fixture(scope="module")
def clean(tiny_clean, tiny_reference, tmp_path_factory):
    """The session of the innocent twin: one student serves all its tests."""
    return open_bench(tiny_clean, tiny_reference, tmp_path_factory.mktemp("clean"))


@pytest.fixture
def quick(monkeypatch):
    """Searches whose later parts find nothing, and cost nothing."""
    for stage in STAGES:
        monkeypatch.setattr(f"purify_cli.detection.classifier_search.{stage}", lambda *_: [])
    return monkeypatch


def in_front_alone(result):
    """Say of every word that it was found to work in front alone, so that the search goes on."""
    return replace(
        result,
        found=tuple(replace(one, trigger=replace(one.trigger, position="start")) for one in result.found),
    )


def test_what_was_flagged_stands_when_a_later_part_fails(session, tiny, quick):
    import purify_cli.detection.classifier_search as module

    found = module.search

    def failing(*_):
        raise TrainingDiverged("it failed", hint="")

    quick.setattr(module, "search", lambda *given, **how: in_front_alone(found(*given, **how)))
    quick.setattr(module, "grow_phrases", failing)
    outcome = look_for_triggers(session, session.task, tiny.sentiment_examples(96, seed=40), "normal")
    assert outcome.finding is not None
    assert outcome.finding.level == "poisoned"
    assert "phrases were not grown to the end" in (outcome.missing or "")


def test_a_failure_of_any_later_part_is_an_open_point(clean, tiny, quick):

    def failing(*_):
        raise NonFiniteWeights("not a number", hint="")

    for stage in STAGES:
        quick.setattr(f"purify_cli.detection.classifier_search.{stage}", failing)
    outcome = look_for_triggers(clean, clean.task, tiny.sentiment_examples(96, seed=40), "normal")
    assert outcome.finding is not None
    assert outcome.finding.level == "no-finding"
    assert (outcome.missing or "").count("not a number") == len(STAGES)


def test_groups_of_words_whose_rows_did_not_move_are_not_said_to_have_been_tried(clean, tiny, quick):
    quick.setattr("purify_cli.detection.classifier_search.far_rows", lambda *_, **__: [])
    outcome = look_for_triggers(clean, clean.task, tiny.sentiment_examples(96, seed=40), "normal")
    assert "no embedding row of a word moved" in (outcome.missing or "")
    assert outcome.facts is not None
    assert outcome.facts.groups is None


def test_phrases_that_the_tokenizer_cannot_write_are_left_out_and_not_counted(session, tiny):
    suspect = session.task.load(session.opened.pair.suspect)
    asked = session.task.search_inputs(suspect, tiny.sentiment_examples(32, seed=49))
    known = " ".join(tiny.UNUSED[:2])
    found = search_phrases(asked, 2, ["\u4f60\u597d", known])
    assert {one.trigger.text for one in found} == {known}
    assert writable(asked.tokenizer, ["\u4f60\u597d", known]) == [known]
    with pytest.raises(SearchImpossible, match="no piece"):
        search_phrases(asked, 2, ["\u4f60\u597d"])
