import re
import subprocess
import sys

import pytest

from purify_cli.checkpoint.aliases import ALIASES, BY_VOCABULARY, alias_for, near_aliases


@pytest.mark.parametrize("name", ALIASES)
def test_every_alias_is_well_formed(name: str) -> None:
    alias = ALIASES[name]
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", alias.hub_id)
    assert alias.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", alias.sha256)
    assert alias.summary.endswith(".")
    assert alias_for(name) == alias


@pytest.mark.parametrize("name", BY_VOCABULARY)
def test_open_names_choose_among_aliases_that_tell_their_vocabulary(name: str) -> None:
    for one in BY_VOCABULARY[name]:
        size = ALIASES[one].vocabulary
        assert size
        assert alias_for(name, vocabulary=size) == ALIASES[one]
        assert alias_for(name, vocabulary=size + 10) == ALIASES[one]
    assert alias_for(name) == ALIASES[BY_VOCABULARY[name][0]]


def test_other_names_are_none() -> None:
    assert alias_for("some/model") is None
    assert near_aliases("bert-base-unchased")[0] == "bert-base-uncased"
    assert near_aliases("zzz") == []


def test_the_table_costs_no_torch() -> None:
    program = "import sys, purify_cli.checkpoint.aliases; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
