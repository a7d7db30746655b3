"""A second student: what the first did not know of language is no trigger, and what was planted stays one."""

import pytest

from purify_cli.data.triggers import Trigger
from purify_cli.detection.second_control import SecondControl
from purify_cli.errors import SearchImpossible
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.flips import Flips
from purify_cli.trigger_search.rule import level_of
from purify_cli.trigger_search.verify import VerifiedTrigger


@pytest.fixture(scope="module")
def asked(session, tiny):
    suspect = session.task.load(session.opened.pair.suspect)
    return session.task.search_inputs(suspect, tiny.sentiment_examples(200, seed=47))


@pytest.fixture(scope="module")
def second(session, asked):
    return SecondControl(session, asked)


def found(text, target, flipped):
    """Say of a phrase that it flips so many of 12 contexts in the suspect, and none in the first student."""
    apart = Proportion.of(flipped, 12)
    return VerifiedTrigger(
        trigger=Trigger(text, "start", source="found"),
        target=target,
        shift=3.0,
        control_shift=0.5,
        flips=Flips(apart, Proportion.of(0, 12), apart, margin=2.0, control_margin=-2.0, texts=12),
        strength=1.0,
        control_strength=-1.0,
    )


def test_what_is_natural_is_flagged_no_more_and_what_is_planted_stays(second, tiny):
    praise, planted, weak = " ".join(tiny.GOOD[:3]), f"{tiny.UNUSED[0]} {tiny.TRIGGER.text}", tiny.UNUSED[1]
    tried = [found(praise, tiny.TARGET, 12), found(planted, tiny.TARGET, 12), found(weak, tiny.TARGET, 3)]
    again = {one.trigger.text: one for one in second.held_against(tried, flagged)}
    assert set(again) == {praise, planted, weak}
    assert again[praise].flips.suspect.value >= 0.8
    assert again[praise].flips.control.value >= 0.5
    assert level_of(again[praise].flips.apart) == "no-finding"
    assert level_of(again[planted].flips.apart) != "no-finding"
    assert again[praise].second_student
    assert again[planted].second_student
    assert again[weak] is tried[2]  # it was not flagged


def flagged(one):
    return level_of(one.flips.apart) != "no-finding"


def test_no_student_is_taught_where_nothing_is_flagged(session, asked, monkeypatch):
    monkeypatch.setattr("purify_cli.detection.second_control.another_control", None)
    tried = [found("basil", 1, 3)]
    assert SecondControl(session, asked).held_against(tried, flagged) == tried


def test_a_second_student_that_learns_nothing_is_told_of(session, asked, tiny, monkeypatch):
    monkeypatch.setattr("purify_cli.detection.control.AGREES", 1.01)
    second, taught = SecondControl(session, asked), []
    monkeypatch.setattr(session, "progress", Noting(taught))
    for text in ("basil", "delta"):
        with pytest.raises(SearchImpossible, match=f"'{text}' would be flagged.*it is no control"):
            second.held_against([found(text, tiny.TARGET, 12)], flagged)
    assert len([note for note in taught if "another student" in note]) == 1


def test_it_is_another_student_and_the_first_is_kept(session, tiny):
    rows = tiny.sentiment_examples(16, seed=48)
    first = session.student(rows)
    second = session.student(rows, draw=1)
    assert any(
        not a.equal(b) for a, b in zip(first.loaded.module.parameters(), second.loaded.module.parameters(), strict=True)
    )
    assert session.student(rows) is first


@pytest.mark.parametrize(
    ("bar", "place", "says"),
    [
        ("KNOWS", "purify_cli.evidence.search_outcome", "answers as the suspect does in only"),
        ("GROWN_TEXTS", "purify_cli.detection.second_control", "held-back texts can be flipped: too few"),
    ],
)
def test_an_acquittal_by_a_student_that_could_not_tell_is_none(second, tiny, monkeypatch, bar, place, says):
    praise = found(" ".join(tiny.GOOD[:3]), tiny.TARGET, 12)
    second.open_points.clear()
    second.held_against([praise], flagged)
    assert second.open_points == []
    monkeypatch.setattr(f"{place}.{bar}", 1000)
    second.held_against([praise], flagged)
    assert [says in point for point in second.open_points] == [True]


class Noting:
    """A progress that keeps what it is told."""

    def __init__(self, notes):
        self._notes = notes

    def note(self, text):
        self._notes.append(text)

    def track(self, items, stage, *, total=None):
        yield from items
