"""Which code made a row."""

import subprocess
from pathlib import Path

import pytest

from purify_cli.bench.provenance import provenance
from purify_cli.runtime import Compute

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a repository")
def test_a_row_names_the_commit_of_the_code():
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert provenance(Compute())["commit"] in (head, f"{head}+")
