"""The words of the highest contrast in contexts: the control is asked less often, and the answer is the same."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from purify_cli.runtime import Compute
from purify_cli.trigger_search.candidate import Candidate
from purify_cli.trigger_search.flips import unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms
from purify_cli.trigger_search.rerank import ALIKE, PAST, best_in_contexts, best_per_place
from purify_cli.trigger_search.vocabulary import whole_words


@pytest.fixture(scope="module")
def asked(tiny: ModuleType, tiny_tokenizer: Any, tiny_suspect: Path, tiny_clean: Path) -> SearchInputs:
    suspect, clean = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval() for folder in (tiny_suspect, tiny_clean)
    )
    inputs = SearchInputs(
        suspect=suspect,
        control=clean,
        tokenizer=tiny_tokenizer,
        rows=(),
        compute=Compute(batch_size=16, max_length=tiny.MAX_LENGTH),
        pad_id=tiny_tokenizer.pad_token_id,
        words=whole_words(tiny_tokenizer, len(tiny_tokenizer)),
    )
    return inputs.in_contexts(tiny.sentiment_examples(64, seed=40))


@pytest.mark.parametrize(("target", "count"), [(0, 5), (1, 1), (1, 20)])
def test_the_best_strings_are_those_of_a_full_ranking(
    asked: SearchInputs, target: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unflipped(asked, target)[:4]
    strings = [(word,) for word in asked.words]
    forms = context_forms(asked, rows, at=0)
    suspect, control = (
        MarginProbe(module, forms, target, asked.compute).way(strings).clamp(0, PAST)
        for module in (asked.suspect, asked.control)
    )
    contrast = (suspect - control).mean(dim=0)
    questions: list[int] = []

    way = MarginProbe.way

    def counted(probe: MarginProbe, groups: Any) -> torch.Tensor:
        questions.append(len(groups))
        return way(probe, groups)

    monkeypatch.setattr(MarginProbe, "way", counted)
    found = best_in_contexts(asked, target, strings, rows, place="start", count=count)
    order = contrast.argsort(descending=True, stable=True)[:count]
    assert torch.allclose(torch.tensor([*found.values()]), contrast[order], atol=1e-5)
    if target == 1 and count == 1:  # the trigger's word stands out, so that the rest need not be put to the control
        assert list(found) == order.tolist()
        assert sum(questions[1:]) < len(strings)


@pytest.mark.parametrize("target", [0, 1])
def test_of_words_that_do_about_as_much_those_come_first_that_drive_farthest(asked: SearchInputs, target: int) -> None:
    rows = unflipped(asked, target)[:4]
    strings = [(word,) for word in asked.words]
    forms = context_forms(asked, rows, at=0)
    suspect, control = (MarginProbe(one, forms, target, asked.compute) for one in (asked.suspect, asked.control))
    way = suspect.way(strings)
    contrast = (way.clamp(0, PAST) - control.way(strings).clamp(0, PAST)).mean(dim=0)
    far, high = way.mean(dim=0).tolist(), contrast.tolist()
    alike = ALIKE * max(high)
    first = sorted((i for i in range(len(strings)) if high[i] >= alike), key=lambda i: -far[i])
    rest = sorted((i for i in range(len(strings)) if high[i] < alike), key=lambda i: -high[i])
    found = best_in_contexts(asked, target, strings, rows, place="start", count=20, farthest=True)
    assert [*found] == [*first, *rest][:20]


def test_of_words_that_do_little_only_the_best_of_a_place_goes_on(asked: SearchInputs) -> None:
    words = [Candidate((word,), 0.0, 0.0) for word in asked.words[:40]]
    rows = unflipped(asked, 0)[:4]
    every = best_per_place(asked, 0, words, rows, 5)
    worth = best_per_place(asked, 0, words, rows, 5, worth=2 * PAST)
    assert [one.position for one in every] == ["start"] * 5 + ["random"] * 5 + ["end"] * 5
    assert [one.position for one in worth] == ["start", "random", "end"]
    assert worth[0] == every[0]
