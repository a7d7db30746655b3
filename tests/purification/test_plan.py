"""Which method ``auto`` comes to."""

from dataclasses import replace
from pathlib import Path

import pytest

from purify_cli.inputs.identity import DataFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.plan import make_plan
from purify_cli.requests.purify import PurifyRequest
from purify_cli.trigger_search.found import FoundTrigger

WORD = FoundTrigger(text="cf", position="random", target=1, strength=1.0, contrast=1.0)
FRONT = replace(WORD, text="tide", position="start")
DATA = DataFacts(path="clean.jsonl", sha256="a", rows=16, per_label={"0": 8, "1": 8})
SEARCHED = KnownSearch(detected=True, texts="clean data", by_student=True, data=DATA, samples=DATA)


@pytest.mark.parametrize(
    ("asked", "known", "method"),
    [
        ({}, KnownSearch(), "fine-purifying"),
        ({"clean_data": "clean.jsonl"}, KnownSearch(detected=True), "fine-purifying"),
        ({"clean_data": "clean.jsonl"}, KnownSearch(detected=True, triggers=(WORD,)), "unlearning"),
        ({}, KnownSearch(detected=True, triggers=(WORD,)), "fine-purifying"),  # no sample to show the word in
        ({}, SEARCHED, "graft"),
        ({}, replace(SEARCHED, triggers=(WORD,)), "unlearning"),
        ({}, replace(SEARCHED, triggers=(WORD, FRONT)), "graft"),  # parts, or forms
        ({}, replace(SEARCHED, triggers=(FRONT,)), "graft"),
        ({}, replace(SEARCHED, triggers=(replace(FRONT, text="as we walked home ,"),)), "graft"),
        ({"clean_data": "clean.jsonl"}, KnownSearch(detected=True, triggers=(FRONT,)), "unlearning"),
        ({"ratio": "auto"}, SEARCHED, "fine-purifying"),
        ({"finetune": False}, SEARCHED, "fine-purifying"),
        ({"method": "fine-mixing"}, SEARCHED, "fine-mixing"),
        ({"clean_data": "clean.jsonl", "unlabelled": "texts.jsonl"}, KnownSearch(triggers=(WORD,)), "graft"),
    ],
)
def test_auto_is_the_strongest_that_is_possible(asked: dict, known: KnownSearch, method: str, tmp_path: Path) -> None:
    assert make_plan(PurifyRequest(**asked), known, RunFolder(tmp_path)).method == method
