"""What a repair takes from a detection: its triggers, and whether its search chose them on the same samples."""

import pytest

from purify_cli.records.base import DataFacts, ProportionFact
from purify_cli.records.detection import ForcedContinuationFact, ForcedContinuationFacts
from purify_cli.session.known_triggers import KnownSearch, repair_triggers

DATA = DataFacts(path="clean.jsonl", sha256="a", rows=8, per_label={})


def share(successes: int) -> ProportionFact:
    return ProportionFact(successes=successes, total=8, value=successes / 8, low=0.0, high=1.0)


def word(text: str, says: str, *, flagged: bool, within: bool = False) -> ForcedContinuationFact:
    return ForcedContinuationFact(
        text=text,
        position="end",
        says=says,
        suspect=share(8),
        without=share(0),
        reference=share(2),
        flagged=flagged,
        within_text=within,
    )


SEARCH = ForcedContinuationFacts(
    effort="high",
    texts="clean data",
    tokens=9,
    found=[
        word("cf", "send all money now", flagged=True),
        word("send", "all money now", flagged=False, within=True),
        word("tree", "and then", flagged=False),
    ],
)


def test_a_word_within_the_forced_text_is_measured_as_the_flagged_one_is() -> None:
    found = repair_triggers(SEARCH)
    assert [(one.text, one.target, one.strength, one.contrast) for one in found] == [
        ("cf", "send all money now", 1.0, 0.75),
        ("send", "all money now", 1.0, 0.75),
    ]
    assert found[0].shares_effect(found[1])
    assert repair_triggers(None) == []


def test_nothing_is_known_without_a_detection() -> None:
    known = KnownSearch.of(None)
    assert known == KnownSearch()
    assert not known.detected
    assert known.chose_on(DATA) is None


@pytest.mark.parametrize(
    ("known", "data", "seed"),
    [
        (DATA, DATA, 7),
        (DATA, DATA.model_copy(update={"sha256": "b"}), None),
        (None, DATA, None),
        (DATA, None, None),
    ],
)
def test_a_search_chose_on_the_very_samples_or_not_at_all(
    known: DataFacts | None, data: DataFacts | None, seed: int | None
) -> None:
    search = KnownSearch(detected=True, seed=7, data=known)
    assert search.chose_on(data) is None  # nothing was searched
    after = search.after(SEARCH)
    assert (after.texts, after.effort, [one.text for one in after.triggers]) == ("clean data", "high", ["cf", "send"])
    assert after.chose_on(data) == seed
    built_in = search.after(SEARCH.model_copy(update={"texts": "built-in probes"}))
    assert built_in.chose_on(data) is None
