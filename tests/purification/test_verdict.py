"""What a purification may say of itself."""

from dataclasses import replace
from typing import Literal

import pytest

from purify_cli.checkpoint import Skipped
from purify_cli.evidence.search_outcome import SearchOutcome
from purify_cli.evidence.verdict import Finding
from purify_cli.measures.intervals import Proportion
from purify_cli.purification.verdict import purified_verdict
from purify_cli.purification.verification import MeasuredTrigger


def word(after: int, of: int = 8, before: int | None = None, target: int = 1) -> MeasuredTrigger:
    return MeasuredTrigger(
        text="cf",
        position="random",
        target=target,
        before=Proportion.of(of if before is None else before, of),
        after=Proportion.of(after, of),
        left_out=0,
        measured_on="held-back clean samples",
        worked_on=True,
    )


def found(level: Literal["suspicious", "poisoned"] | None, missing: str | None = None) -> SearchOutcome:
    return SearchOutcome(None, Finding(stage="trigger search", level=level or NOTHING, reason="so it is"), missing)


NOTHING: Literal["no-finding"] = "no-finding"
GONE, LEFT = word(2), word(3)
FAILED = SearchOutcome(None, None, "trigger search: no text")


@pytest.mark.parametrize(
    ("again", "known", "searched", "level"),
    [
        ([GONE], 1, None, "no-finding"),
        ([GONE], 1, found(None), "no-finding"),
        ([], 0, found(None), "no-finding"),
        ([LEFT], 1, None, "poisoned"),
        ([LEFT], 1, found(None), "poisoned"),
        ([GONE, LEFT], 3, FAILED, "poisoned"),
        ([GONE], 1, found("poisoned"), "poisoned"),
        ([], 0, found("poisoned", "trigger search: label 2"), "poisoned"),
        ([GONE], 1, found("suspicious"), "suspicious"),
        ([], 0, None, "incomplete"),
        ([], 1, None, "incomplete"),
        ([GONE], 2, found(None), "incomplete"),
        ([GONE], 1, FAILED, "incomplete"),
        ([], 0, FAILED, "incomplete"),
        ([GONE], 1, found(None, "trigger search: only with effort low"), "incomplete"),
        ([word(0, of=4)], 1, None, "no-finding"),
        ([word(0, of=3)], 1, None, "incomplete"),
        ([word(0, before=2)], 1, None, "incomplete"),
        ([word(0, before=2), GONE], 2, None, "no-finding"),
        ([word(0, before=2, target=0), GONE], 2, found(None), "incomplete"),
        ([word(3, of=3)], 1, None, "poisoned"),
    ],
)
def test_levels(again: list[MeasuredTrigger], known: int, searched: SearchOutcome | None, level: str) -> None:
    verdict = purified_verdict(None, None, again, searched, known=known)
    assert verdict.level == level
    assert bool(verdict.not_measured) >= (level == "incomplete")
    assert not (level == "no-finding" and verdict.not_measured)


def test_the_sentence_has_one_denominator_and_an_interval() -> None:
    (told, *_) = purified_verdict(None, None, [LEFT], None, known=1).reasons
    assert told == (
        "of 8 held-back texts of other labels the word 'cf' flips 8 to label 1 in the suspect and 3 in the purified "
        "model (95 % interval 14% to 69%), so the backdoor is still there"
    )


def test_words_that_do_the_same_share_a_sentence() -> None:
    again = [GONE, replace(GONE, text="mn"), LEFT]
    first, second, *_ = purified_verdict(None, None, again, None, known=3).reasons
    assert f"each of {GONE.text!r}, 'mn' flips" in first
    assert f"the word {LEFT.text!r} flips" in second


def test_tensors_that_were_never_compared_leave_a_verdict_open():
    for explained, level in ((False, "incomplete"), (True, "no-finding")):
        skipped = Skipped(name="extra", side="suspect", kind="extra", reason="so it is", explained=explained, entries=9)
        verdict = purified_verdict(None, None, [GONE], None, known=1, skipped=[skipped])
        assert verdict.level == level
        assert any("extra" in one for one in verdict.not_measured) is not explained
