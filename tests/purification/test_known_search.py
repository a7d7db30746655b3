"""What a repair takes from a detection: its triggers, and whether its search chose them on the same samples."""

from dataclasses import replace

import pytest

from purify_cli.evidence.search_outcome import ContinuationSearch, repair_triggers
from purify_cli.inputs.identity import DataFacts
from purify_cli.measures.intervals import Proportion
from purify_cli.purification.known_search import KnownSearch
from purify_cli.storage.origin import known_search
from purify_cli.trigger_search.found import ForcingWord

DATA = DataFacts(path="clean.jsonl", sha256="a", rows=8, per_label={})


def share(successes: int) -> Proportion:
    return Proportion(successes=successes, total=8, value=successes / 8, low=0.0, high=1.0)


def word(text: str, says: str, *, flagged: bool, within: bool = False) -> ForcingWord:
    return ForcingWord(
        text=text,
        position="end",
        says=says,
        suspect=share(8),
        without=share(0),
        reference=share(2),
        flagged=flagged,
        within_text=within,
    )


SEARCH = ContinuationSearch(
    effort="high",
    texts="clean data",
    tokens=9,
    found=(
        word("cf", "send all money now", flagged=True),
        word("send", "all money now", flagged=False, within=True),
        word("tree", "and then", flagged=False),
    ),
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
    known = known_search(None)
    assert known == KnownSearch()
    assert not known.detected
    assert known.chose_on(DATA) is None


@pytest.mark.parametrize(
    ("known", "data", "seed"),
    [
        (DATA, DATA, 7),
        (DATA, replace(DATA, sha256="b"), None),
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
    assert not after.by_student  # it is of a language model
    built_in = search.after(replace(SEARCH, texts="built-in probes"))
    assert not built_in.by_student
    assert built_in.chose_on(data) is None
