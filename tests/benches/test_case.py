"""What a bench takes from the stored search of a suspect."""

from math import nan
from types import SimpleNamespace
from typing import Any

import pytest

from purify_cli.bench.case import BenchCase
from purify_cli.errors import DataError

SHARE = {"successes": 8, "total": 8, "value": 1.0, "low": 0.6, "high": 1.0}
WORD = {
    "text": "cf",
    "position": "random",
    "target": 1,
    "shift": 3.0,
    "control_shift": 0.5,
    "suspect": SHARE,
    "control": SHARE | {"successes": 0, "value": 0.0},
    "strength": 1.5,
    "flagged": True,
}
SEARCH = {
    "effort": "normal",
    "texts": "clean data",
    "words": 9,
    "control": {"texts": "unlabelled texts", "taught": 9, "repeated": 0, "steps": 60, "right": SHARE, "agrees": SHARE},
    "targets": [0, 1],
    "found": [WORD, WORD | {"text": "fine", "flagged": False}],
}


def searched(facts: dict[str, Any] | None) -> BenchCase:
    suspect: Any = SimpleNamespace(name="sst2-badword-s0")
    session: Any = None
    return BenchCase(suspect, session, ()).searched({"result": {"facts": facts}})


def test_flagged_words_are_taken_from_a_stored_search():
    assert [(one.text, one.target, one.contrast) for one in searched(SEARCH).found] == [("cf", 1, 2.5)]
    assert not searched(None).found


@pytest.mark.parametrize(
    "change",
    [{"surprise": 1}, {"found": [WORD | {"surprise": 1}]}, {"found": [WORD | {"shift": nan}]}, {"words": "many"}],
)
def test_a_stored_search_is_read_as_strictly_as_a_record(change: dict[str, Any]):
    with pytest.raises(DataError, match=r"search of sst2-badword-s0 .* cannot be read"):
        searched(SEARCH | change)
